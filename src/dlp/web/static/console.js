// Keyboard and small comforts. Everything works without it; nothing here decides anything.
"use strict";

const typing = (target) => /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== "radio" && target.type !== "checkbox";

function rows() {
  return [...document.querySelectorAll("[data-rows] tbody tr")];
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = all[Math.min(all.length - 1, Math.max(0, at + by))] || all[0];
  next.querySelector("a, button, input")?.focus();
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]") && event.key !== "?") return;
  if (event.key === "?") {
    const keys = document.getElementById("keys");
    if (keys.open) keys.close();
    else keys.showModal();
  } else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else {
    const target = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key && one.offsetParent !== null);
    if (!target) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) target.focus();
    else target.click();
  }
  event.preventDefault();
});

// A row of a list opens where it is clicked, as its link does.
document.addEventListener("click", (event) => {
  const row = event.target.closest?.("[data-rows] tbody tr");
  if (row && !event.target.closest("a, button, input, label, select")) row.querySelector("a")?.click();
});

// What asks before it is done.
document.addEventListener("submit", (event) => {
  const words = event.submitter?.dataset.sure || event.target.dataset.sure;
  if (words && !window.confirm(words)) event.preventDefault();
});

// What prints the page that is seen.
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-print]")) window.print();
});

// What chooses, or lets go of, every box of its form.
document.addEventListener("change", (event) => {
  const every = event.target.closest?.("[data-every]");
  if (!every) return;
  for (const box of every.form.querySelectorAll(`input[type="checkbox"][name="${every.dataset.every}"]`)) box.checked = every.checked;
});

// The workbench: a fault leads to its line in the text that is edited.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-line]");
  const text = link && document.querySelector("textarea#text");
  if (!text) return;
  event.preventDefault();
  const lines = text.value.split("\n");
  const start = lines.slice(0, Number(link.dataset.line) - 1).join("\n").length + (Number(link.dataset.line) > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[Number(link.dataset.line) - 1] || "").length);
  text.scrollTop = Math.max(0, (Number(link.dataset.line) - 4) * (text.scrollHeight / lines.length));
});

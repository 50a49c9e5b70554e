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
// What is printed, and what is kept as soon as it is chosen.
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-print]")) window.print();
});
document.addEventListener("change", (event) => event.target.closest?.("form[data-changes]")?.requestSubmit());

// The live board: when its rows are renewed, what was focused stays so and the page stays where it is; what is new is
// told in one short sentence, and heard where somebody turned that on.
const board = document.getElementById("live");
if (board) {
  const told = document.getElementById("told");
  const jobs = (which) => new Set([...board.querySelectorAll(`tr[data-job]${which}`)].map((row) => row.dataset.job));
  const more = (now, before) => [...now].filter((job) => !before.has(job)).length;
  let before = null;
  let sum = { fresh: 0, stopped: 0 };
  let saying = 0;
  let sound = null;

  const ring = () => {
    sound ||= new AudioContext();
    sound.resume();
    for (const [at, tone] of [[0, 880], [0.18, 660]]) {
      const one = sound.createOscillator();
      const loud = sound.createGain();
      one.frequency.value = tone;
      loud.gain.value = 0.15;
      one.connect(loud).connect(sound.destination);
      one.start(sound.currentTime + at);
      one.stop(sound.currentTime + at + 0.15);
    }
  };
  const say = () => {
    const part = (words, count) => (count ? words.replace("{n}", count) : "");
    told.textContent = [part(told.dataset.new, sum.fresh), part(told.dataset.stopped, sum.stopped)].filter(Boolean).join("，");
    sum = { fresh: 0, stopped: 0 };
    saying = 0;
  };

  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "rows") return;
    const live = event.detail.requestConfig.elt.id === "rows";
    const link = document.activeElement?.closest?.("#rows a");
    before = { live, all: jobs(""), stopped: jobs("[data-stopped]"), focused: link?.getAttribute("href"), x: window.scrollX, y: window.scrollY };
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "rows" || !before) return;
    if (before.live) {
      if (before.focused) [...board.querySelectorAll("a")].find((one) => one.getAttribute("href") === before.focused)?.focus({ preventScroll: true });
      window.scrollTo(before.x, before.y);
      const stopped = more(jobs("[data-stopped]"), before.stopped);
      sum.fresh += more(jobs(""), before.all);
      sum.stopped += stopped;
      if (sum.fresh || sum.stopped) saying ||= window.setTimeout(say, 2000);
      if (stopped && "sound" in board.dataset) ring();
    }
    before = null;
  });
}

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
    const all = [...document.querySelectorAll("[data-key]")].filter((one) => one.dataset.key === event.key && one.offsetParent !== null);
    const target = all.find((one) => one.closest(".current")) || all[0];
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

// The review desk: hits are walked with n and p, and the one that is chosen is lit up on its page.
function lightUp(number) {
  for (const one of document.querySelectorAll("[data-box]")) one.classList.toggle("current", one.dataset.box === number);
  document.querySelector(`[data-box="${number}"]`)?.scrollIntoView({ block: "nearest" });
}

function choose(item) {
  if (!item) return;
  for (const one of document.querySelectorAll("[data-hit]")) one.classList.toggle("current", one === item);
  item.querySelector(".pick")?.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
  const link = item.querySelector("[data-load]");
  const shown = document.querySelector("#sheet [data-page]");
  if (link && shown && shown.dataset.page !== item.dataset.page) window.htmx.ajax("GET", link.dataset.load, "#sheet");
  else lightUp(item.dataset.hit);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
  const hits = [...document.querySelectorAll("[data-hit]")];
  if ((event.key === "n" || event.key === "p") && hits.length) {
    const at = hits.findIndex((one) => one.classList.contains("current"));
    choose(hits[event.key === "n" ? Math.min(hits.length - 1, at + 1) : Math.max(0, at - 1)]);
    event.preventDefault();
  } else if (event.key === "x") {
    const row = event.target.closest?.("[data-rows] tbody tr");
    row?.querySelector("[data-tick]")?.click();
  }
});

document.addEventListener("click", (event) => {
  const item = event.target.closest?.("[data-hit]");
  if (item && event.target.closest(".pick")) {
    choose(item);
    event.preventDefault();
  }
  const box = event.target.closest?.("[data-box]");
  if (box && !event.target.closest("[data-draw]")) choose(document.querySelector(`[data-hit="${box.dataset.box}"]`));
});

document.addEventListener("htmx:afterSwap", () => {
  const item = document.querySelector("[data-hit].current");
  if (item) lightUp(item.dataset.hit);
});

// A rectangle is drawn on a page; its sides go into the fields below it.
document.addEventListener("pointerdown", (event) => {
  const page = event.target.closest?.("[data-draw]");
  if (!page) return;
  event.preventDefault();
  const at = (one) => new DOMPoint(one.clientX, one.clientY).matrixTransform(page.getScreenCTM().inverse());
  const from = at(event);
  const drawn = page.querySelector(".drawn");
  const move = (one) => {
    const to = at(one);
    const sides = { x0: Math.min(from.x, to.x), y0: Math.min(from.y, to.y), x1: Math.max(from.x, to.x), y1: Math.max(from.y, to.y) };
    drawn.setAttribute("x", sides.x0);
    drawn.setAttribute("y", sides.y0);
    drawn.setAttribute("width", sides.x1 - sides.x0);
    drawn.setAttribute("height", sides.y1 - sides.y0);
    for (const field of document.querySelectorAll("[data-side]")) field.value = Math.max(0, Math.round(sides[field.dataset.side]));
  };
  const end = () => {
    document.removeEventListener("pointermove", move);
    document.querySelector(".add [name=reason]")?.focus();
  };
  document.addEventListener("pointermove", move);
  document.addEventListener("pointerup", end, { once: true });
});

// Before and after: the slider moves the border between them.
document.addEventListener("input", (event) => {
  if (!("slide" in event.target.dataset)) return;
  const figure = event.target.closest("[data-compare]");
  const after = figure.querySelector("[data-after]");
  const [, , wide, high] = figure.querySelector("svg").getAttribute("viewBox").split(" ").map(Number);
  const border = (wide * event.target.value) / 100;
  after.setAttribute("x", border);
  after.setAttribute("width", Math.max(0.01, wide - border));
  after.setAttribute("viewBox", `${border} 0 ${Math.max(0.01, wide - border)} ${high}`);
  for (const end of ["x1", "x2"]) figure.querySelector("[data-line]").setAttribute(end, border);
});

// What is kept as soon as it is chosen.
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

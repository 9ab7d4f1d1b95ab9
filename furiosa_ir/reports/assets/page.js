// The page itself: views in order, the selected layer at the side, keys, the theme.

const MAKERS = {
  summary: ["Summary", summaryView],
  layers: ["Layers", layersView],
  graph: ["Graph", graphView],
  timeline: ["Timeline", timelineView],
  memory: ["Memory", memoryView],
  roofline: ["Roofline", rooflineView],
  compile: ["Compile", compileView],
};
const nav = document.getElementById("nav"), main = document.getElementById("main");
const made = {}, sections = [];
for (const view of DATA.views) {
  const [title, make] = MAKERS[view];
  const section = el("section", { id: view, "aria-label": title }, el("h2", {}, title));
  main.append(section);
  nav.append(el("a", { href: `#${view}`, title: `key ${sections.length + 1}` }, title));
  made[view] = make(section) ?? {};
  sections.push(section);
}

const detail = document.getElementById("detail");
function paintDetail() {
  const chosen = selected();
  detail.classList.toggle("none", !chosen);
  if (!chosen) {
    detail.replaceChildren(el("h2", {}, "No layer selected"), el("p", {}, "Click a layer in any view, or use ↓ and ↑; it is selected in all."));
    return;
  }
  const { program, layer } = chosen;
  const twin = PROGRAMS.length > 1 ? [0, 1].map((side) => PROGRAMS[side].layers[selection.layers[side]]) : [layer];
  const facts = el("dl");
  for (const { key, title, unit, description } of program.columns) {
    if (["short_name", "name", "operator", "reason"].includes(key)) continue;
    const values = twin.map((each) => (each ? each[key] : null));
    if (values.every((value) => value === null || value === "" || value === undefined)) continue;
    facts.append(el("dt", { title: description }, title), el("dd", {}, values.map((value) => shown(value, unit) || "–").join(" → ")));
  }
  detail.replaceChildren(el("h2", {}, layer.short_name), el("p", {}, layer.operator), facts, layer.reason ? el("p", {}, layer.reason) : "",
    el("div", { class: "tools" }, layer.start_cycle === null ? "" : el("button", { type: "button", onclick: () => showInTime(program, layer) }, "in the timeline"),
      el("button", { type: "button", onclick: clearSelection }, "clear")), el("p", {}, layer.name));
}
function showInTime(program, layer) {
  timeAxis.show(program, layer.index);
  document.getElementById("timeline")?.scrollIntoView({ block: "start" });
}
onSelection(paintDetail);
paintDetail();

const find = document.getElementById("find");
find.addEventListener("input", () => ["layers", "graph"].forEach((view) => made[view]?.filter?.(find.value)));
if (!made.layers && !made.graph) find.parentElement.hidden = true;

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  repaintAll();
}
const dark = matchMedia("(prefers-color-scheme: dark)");
setTheme(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
const otherTheme = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
document.getElementById("theme").addEventListener("click", otherTheme);
let before = null;
addEventListener("beforeprint", () => {
  before = document.documentElement.dataset.theme;
  setTheme("light");
  prints.forEach((paint) => paint());
});
addEventListener("afterprint", () => before && setTheme(before));

const KEYS = [
  ["1 … 7", "go to a view"], ["/", "find"], ["↓ ↑ or j k", "next layer, the one before, as the table has them"],
  ["Enter", "the selected layer in the timeline"], ["Esc", "no layer"], ["+ − 0", "more, less, all of the time; in the graph, of the graph"],
  ["← →", "earlier, later"], ["t", "light or dark"], ["?", "this"],
];
const keys = document.getElementById("keys");
const listed = el("dl");
KEYS.forEach(([key, what]) => listed.append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)));
keys.append(listed, el("form", { method: "dialog" }, el("button", {}, "close")));
const showKeys = () => (keys.open ? keys.close() : keys.showModal());
document.getElementById("help").addEventListener("click", showKeys);

const ACTIONS = {
  "/": () => find.focus(), ArrowDown: () => made.layers?.step?.(1), j: () => made.layers?.step?.(1),
  ArrowUp: () => made.layers?.step?.(-1), k: () => made.layers?.step?.(-1), Escape: clearSelection,
  Enter: () => { const chosen = selected(); if (chosen) showInTime(chosen.program, chosen.layer); },
  "+": () => timeAxis.zoom(0.5), "=": () => timeAxis.zoom(0.5), "-": () => timeAxis.zoom(2), 0: () => timeAxis.fit(),
  ArrowLeft: () => timeAxis.move(-0.2), ArrowRight: () => timeAxis.move(0.2), t: otherTheme, "?": showKeys,
};
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.matches("input, select, button, summary, a, pre")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const number = Number(event.key);
  if (number >= 1 && number <= sections.length) sections[number - 1].scrollIntoView({ block: "start" });
  else {
    const action = event.target.keys?.[event.key] ?? ACTIONS[event.key];
    if (!action) return;
    action();
  }
  event.preventDefault();
});

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) [...nav.children].forEach((link) => link.classList.toggle("here", link.hash === `#${entry.target.id}`));
  }
}, { rootMargin: "-15% 0px -75% 0px" });
sections.forEach((section) => watcher.observe(section));
document.documentElement.dataset.ready = String(performance.now());

// The passes of the compile, and the IR before and after each where it is in the page.

function compileView(section) {
  section.classList.add("long");
  for (const program of PROGRAMS) {
    const { passes } = program;
    if (!passes.length) {
      section.append(el("p", { class: "empty" }, `Which passes made ${program.title} is not known.`));
      continue;
    }
    const slowest = Math.max(1e-9, ...passes.map((pass) => pass[2] || 0));
    const hasPhases = passes.some((pass) => pass[0]);
    const isTimed = passes.some((pass) => pass[2] !== null);
    const viewer = el("div", { class: "ir" });
    const body = el("tbody");
    passes.forEach(([phase, name, seconds, before, after, hasText], at) => {
      const bar = el("i");
      bar.style.width = `${(100 * (seconds || 0)) / slowest}%`;
      const line = el("tr", {}, el("td", {}, String(at + 1)), el("td", { title: name }, name));
      if (hasPhases) line.append(el("td", {}, phase));
      if (isTimed) {
        const change = before === null || after === null ? "" : after === before ? "" : `${after > before ? "+" : "−"}${count(Math.abs(after - before))}`;
        line.append(el("td", { class: "number bar" }, seconds === null ? "" : `${significant(seconds * 1000)} ms`, bar),
          el("td", { class: "number" }, before === null ? "" : count(before)), el("td", { class: "number" }, after === null ? "" : count(after)), el("td", { class: "number" }, change));
      }
      if (hasText) line.append(el("td", {}, el("button", { type: "button", onclick: () => showIr(viewer, program, at) }, "IR")));
      body.append(line);
    });
    const titles = ["", "pass", ...(hasPhases ? ["phase"] : []), ...(isTimed ? ["time", "operations before", "after", "change"] : [])];
    const heads = titles.map((title, at) => el("th", { class: isTimed && at > (hasPhases ? 2 : 1) ? "number" : "", scope: "col" }, el("button", { type: "button", tabindex: "-1" }, title)));
    if (passes.some((pass) => pass[5])) heads.push(el("th", { scope: "col" }));
    const panel = panelOf(section, program);
    panel.append(el("div", { class: "passes" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body)));
    section.append(viewer);
    if (!isTimed) section.append(el("p", { class: "empty" }, "Times and sizes are those of a compile that was watched: furiosa report of the network, or furiosa compile --report."));
  }
}

/** Two texts side by side; lines that the other one has not are marked. */
async function showIr(viewer, program, at) {
  const [before, after] = await Promise.all([unpacked(`ir-${program.index}-${at}`), unpacked(`ir-${program.index}-${at + 1}`)]);
  const side = (title, text, other) => {
    const pre = el("pre", { tabindex: "0" });
    const known = new Set((other ?? "").split("\n").map((line) => line.trim()));
    for (const line of (text ?? "").split("\n")) {
      const isNew = other !== null && line.trim() && !known.has(line.trim());
      pre.append(isNew ? el("mark", {}, line) : line, "\n");
    }
    return el("div", { class: "panel" }, el("div", { class: "which" }, title), pre);
  };
  const next = el("button", { type: "button", onclick: () => toNextChange(viewer) }, "next change");
  viewer.replaceChildren(next, side(`before ${program.passes[at][1]}`, before, after), side(`after ${program.passes[at][1]}`, after, before));
  viewer.scrollIntoView({ block: "nearest" });
  viewer.dataset.change = "-1";
  toNextChange(viewer);
}

/** Scrolls each side to its next marked line that does not follow one; behind the last, to the first. */
function toNextChange(viewer) {
  const at = Number(viewer.dataset.change) + 1;
  viewer.dataset.change = String(at);
  viewer.querySelectorAll("pre").forEach((pre) => {
    const marks = [...pre.querySelectorAll("mark")], top = (mark) => mark.offsetTop - pre.offsetTop;
    const starts = marks.filter((mark, i) => !i || top(mark) - top(marks[i - 1]) > 1.9 * mark.offsetHeight);
    if (starts.length) pre.scrollTop = top(starts[at % starts.length]) - 40;
  });
}

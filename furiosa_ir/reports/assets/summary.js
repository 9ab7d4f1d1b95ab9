// Figures, what would help, and what the program is.

/** How much longer the second program takes on the NPU. */
function speedUp() {
  const [a, b] = PROGRAMS.map((program) => program.clock_hz && program.cycles / program.clock_hz);
  if (!a || !b || a === b) return null;
  return el("span", { class: b > a ? "more" : "less" }, `B takes ${significant((100 * Math.abs(b - a)) / a)} % ${b > a ? "longer" : "less"}`);
}

function summaryView(section) {
  const cards = el("div", { class: PROGRAMS.length > 1 ? "cards two" : "cards" });
  const names = [...new Set(PROGRAMS.flatMap((program) => program.cards.map(([name]) => name)))];
  for (const name of names) {
    const found = PROGRAMS.map((program) => program.cards.find((card) => card[0] === name));
    const meanings = [...new Set(found.filter((card) => card).map((card) => card[2]))];
    const figures = found.map((card, side) => el("b", {}, PROGRAMS.length > 1 ? el("i", {}, "AB"[side]) : null, card ? card[1] : "–"));
    const meaning = meanings.length > 1 ? found.map((card, side) => `${"AB"[side]}: ${card ? card[2] : "–"}`).join("; ") : meanings[0];
    cards.append(el("div", { class: "card" }, el("span", {}, name), ...figures, name === "NPU" ? speedUp() : null, el("small", {}, meaning)));
  }
  section.append(cards);
  for (const program of PROGRAMS) {
    if (program.advice.length) {
      const list = el("ul", { class: "advice" });
      for (const [text, layer] of program.advice) {
        list.append(el("li", {}, layer === null ? text : el("button", { type: "button", onclick: () => select(program.index, layer) }, text)));
      }
      panelOf(section, program).append(el("h3", {}, "What takes the time, and what would help"), list);
    }
    const facts = el("dl");
    for (const [name, text] of program.facts) facts.append(el("dt", {}, name), el("dd", {}, text));
    section.append(el("details", { class: "facts" }, el("summary", {}, `how ${program.title} was made`), facts));
  }
}

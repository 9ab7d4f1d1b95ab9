// Figures, what would help, and what the program is.

function summaryView(section) {
  const cards = el("div", { class: "cards" });
  const names = [...new Set(PROGRAMS.flatMap((program) => program.cards.map(([name]) => name)))];
  for (const name of names) {
    const found = PROGRAMS.map((program) => program.cards.find((card) => card[0] === name));
    const meaning = found.find((card) => card)[2];
    const figures = found.map((card) => el("b", {}, card ? card[1] : "–"));
    cards.append(el("div", { class: "card" }, el("span", {}, name), ...figures, el("small", {}, meaning)));
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

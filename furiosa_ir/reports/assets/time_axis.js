// The stretch of time on the screen, one for all views over time.

const GUTTER = 132;
const timeAxis = {
  from: 0, to: LONGEST, watchers: [],
  set(from, to) {
    const length = Math.min(LONGEST, Math.max(20, to - from));
    const start = Math.max(0, Math.min(LONGEST - length, from));
    Object.assign(this, { from: start, to: start + length });
    this.watchers.forEach((watcher) => watcher());
  },
  zoom(factor, at = (this.from + this.to) / 2) {
    this.set(at - (at - this.from) * factor, at + (this.to - at) * factor);
  },
  move(part) {
    const by = (this.to - this.from) * part;
    this.set(this.from + by, this.to + by);
  },
  fit() { this.set(0, LONGEST); },
  /** Shows a layer with some room beside it. */
  show(program, layer) {
    const { start_cycle: start, end_cycle: end } = program.layers[layer];
    if (start !== null) this.set(start - (end - start) * 0.4, end + (end - start) * 0.4);
  },
};

/** Cycles to pixels and back, right of the gutter. */
function timeScale(width) {
  const perCycle = (width - GUTTER - 8) / (timeAxis.to - timeAxis.from);
  return {
    perCycle,
    x: (cycle) => GUTTER + (cycle - timeAxis.from) * perCycle,
    cycle: (x) => timeAxis.from + (x - GUTTER) / perCycle,
  };
}

/** Round distances for about that many ticks. */
function tickStep(range, ticks) {
  const raw = range / ticks, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((step) => step * power >= raw);
}

/** Lines and labels of time; in microseconds where the clock is known. */
function paintTicks(context, program, width, height, scale) {
  const unit = program.clock_hz ? program.clock_hz / 1e6 : 1;
  const step = tickStep((timeAxis.to - timeAxis.from) / unit, Math.max(2, (width - GUTTER) / 90));
  context.textAlign = "left";
  for (let at = Math.ceil(timeAxis.from / unit / step) * step; at * unit <= timeAxis.to; at += step) {
    const x = Math.round(scale.x(at * unit)) + 0.5;
    context.strokeStyle = colour("line");
    context.beginPath();
    context.moveTo(x, 16);
    context.lineTo(x, height);
    context.stroke();
    context.fillStyle = colour("faint");
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    if (x < width - 50) context.fillText(`${at.toFixed(Math.min(6, digits))}${program.clock_hz ? " µs" : ""}`, x + 3, 8);
  }
}

/** Zooms with the wheel and Ctrl, drags, keys. */
function controlTime(drawn) {
  const { canvas } = drawn;
  canvas.addEventListener("wheel", (event) => {
    const scale = timeScale(canvas.clientWidth);
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      timeAxis.zoom(Math.exp(event.deltaY * 0.004), scale.cycle(event.offsetX));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      timeAxis.move(event.deltaX / canvas.clientWidth);
    }
  }, { passive: false });
  dragging(canvas, (dx) => timeAxis.move(-dx / (canvas.clientWidth - GUTTER)));
  canvas.addEventListener("dblclick", () => {
    const chosen = selected();
    chosen ? timeAxis.show(chosen.program, chosen.layer.index) : timeAxis.fit();
  });
  timeAxis.watchers.push(drawn.repaint);
}

function timeTools(section) {
  const tools = el("div", { class: "tools" });
  const button = (text, title, action) => tools.append(el("button", { type: "button", title, onclick: action }, text));
  button("−", "less (−)", () => timeAxis.zoom(2));
  button("+", "more (+)", () => timeAxis.zoom(0.5));
  button("all", "the whole run (0)", () => timeAxis.fit());
  button("selected", "the selected layer (Enter)", () => {
    const chosen = selected();
    if (chosen) timeAxis.show(chosen.program, chosen.layer.index);
  });
  section.append(tools);
  return tools;
}

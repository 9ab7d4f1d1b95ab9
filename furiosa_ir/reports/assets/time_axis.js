// The stretch of time on the screen, one for all views over time.

const GUTTER = 132, MARGIN = 8;
const SHORTEST = Math.min(20, LONGEST);
const timeAxis = {
  from: 0, to: LONGEST, watchers: [],
  /** Shows [from, to) of cycles; `origin` is the canvas on which somebody does that just now. */
  set(from, to, origin = null) {
    const length = Math.min(LONGEST, Math.max(SHORTEST, to - from));
    const start = Math.max(0, Math.min(LONGEST - length, from));
    Object.assign(this, { from: start, to: start + length });
    this.watchers.forEach((watcher) => watcher(origin));
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
  const perCycle = (width - GUTTER - MARGIN) / (timeAxis.to - timeAxis.from);
  return {
    perCycle,
    x: (cycle) => GUTTER + (cycle - timeAxis.from) * perCycle,
    cycle: (x) => timeAxis.from + (x - GUTTER) / perCycle,
  };
}

/** Lines and labels of time, in the unit that suits their distance; in cycles where the clock is not known. */
function paintTicks(context, program, width, height, scale) {
  const perSecond = program.clock_hz || 1, seconds = [timeAxis.from / perSecond, timeAxis.to / perSecond];
  const [unit, size] = !program.clock_hz ? ["", 1] : [["ms", 1e-3], ["µs", 1e-6], ["ns", 1e-9]].find(([, each]) => (seconds[1] - seconds[0]) / 2 >= each) ?? ["ns", 1e-9];
  const axis = d3.scaleLinear(seconds.map((at) => at / size), [GUTTER, width - MARGIN]);
  const wanted = Math.max(2, (width - GUTTER) / 90), label = axis.tickFormat(wanted, ",f");
  context.textAlign = "left";
  for (const at of axis.ticks(wanted)) {
    const x = Math.round(axis(at)) + 0.5;
    context.strokeStyle = colour("line");
    stroke(context, [[x, 16], [x, height]]);
    context.fillStyle = colour("faint");
    const text = `${label(at)} ${unit}`;
    if (x + 3 + context.measureText(text).width < width) context.fillText(text, x + 3, 8);
  }
}

/** Zooms with the wheel and Ctrl or two fingers, drags; double click shows the selected layer. */
function controlTime({ canvas, repaint }) {
  const area = () => [[GUTTER, 0], [Math.max(GUTTER + 1, canvas.clientWidth - MARGIN), canvas.clientHeight]];
  const whole = () => d3.scaleLinear([0, LONGEST], area().map(([x]) => x));
  let isFollowing = false;
  const zoom = d3.zoom().extent(area).scaleExtent([1, LONGEST / SHORTEST])
    .filter(byCtrlOrDrag).wheelDelta(wheelDelta).on("zoom", ({ transform }) => {
      if (!isFollowing) timeAxis.set(...transform.rescaleX(whole()).domain(), canvas);
    });
  const held = d3.select(canvas).call(zoom).on("dblclick.zoom", null);
  const follow = (origin) => {
    repaint();
    if (origin === canvas || !canvas.clientWidth) return;
    const [[left], [right]] = area();
    zoom.translateExtent([[left, -Infinity], [right, Infinity]]);
    const scale = LONGEST / (timeAxis.to - timeAxis.from);
    isFollowing = true;
    held.call(zoom.transform, d3.zoomIdentity.translate(left - scale * whole()(timeAxis.from), 0).scale(scale));
    isFollowing = false;
  };
  timeAxis.watchers.push(follow);
  new ResizeObserver(() => follow(null)).observe(canvas);
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey || Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    timeAxis.move(event.deltaX / canvas.clientWidth);
  }, { passive: false });
  canvas.addEventListener("dblclick", () => {
    const chosen = selected();
    chosen ? timeAxis.show(chosen.program, chosen.layer.index) : timeAxis.fit();
  });
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

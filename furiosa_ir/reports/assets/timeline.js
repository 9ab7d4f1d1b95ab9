// Engines and their units over time, with the critical path, tokens as arrows, and the bandwidth of DRAM.

function timelineView(section) {
  const tools = timeTools(section);
  tools.append(el("span", {}, "Ctrl + wheel zooms, drag moves, double click shows the selected layer; arrows are tokens"));
  const programs = PROGRAMS.filter((program) => program.execution && program.execution.events.count);
  if (!programs.length) {
    const isKnown = PROGRAMS.some((program) => program.execution);
    tools.remove();
    return section.append(el("p", { class: "empty" }, isKnown ? "Nothing runs on the NPU." : "What runs when is not known of this machine."));
  }
  for (const program of programs) {
    const lanes = lanesOf(program);
    const height = lanes[lanes.length - 1].bottom + 10;
    const panel = panelOf(section, program);
    const drawn = makeCanvas(panel, height, "timeline of engines", (context, width) => paintTimeline(context, width, height, program, lanes));
    controlTime(drawn);
    pointing(drawn.canvas, (x, y) => findEvent(program, lanes, drawn.canvas.clientWidth, x, y));
    panel.append(legend(program.execution.kinds.map((kind, at) => [`c${at % 10}`, kind])));
  }
}

function lanesOf(program) {
  const { engines, units, dram_bytes_per_cycle: most } = program.execution;
  const lanes = [];
  let y = 20;
  const add = (lane) => {
    lanes.push({ ...lane, top: y, bottom: y + lane.height });
    y += lane.height + lane.gap;
  };
  add({ title: "critical path", kind: "critical", height: 12, gap: 6 });
  engines.forEach(([, title, inside], engine) => {
    add({ title, kind: "engine", engine, height: 26, gap: 3 });
    if (inside.length > 1) {
      for (const [unit, unitTitle] of inside) add({ title: unitTitle, kind: "unit", unit: units.indexOf(unit), height: 9, gap: 2 });
    }
    y += 5;
  });
  if (most) add({ title: `DRAM, of ${count(most)} B/cycle`, kind: "bandwidth", most, height: 54, gap: 0 });
  return lanes;
}

function paintTimeline(context, width, height, program, lanes) {
  const scale = timeScale(width), chosen = selection.layers[program.index];
  const { events } = program.execution;
  paintTicks(context, program, width, height, scale);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height);
  context.clip();
  for (const lane of lanes) {
    if (lane.kind === "engine") paintEngine(context, lane, events, scale, program, chosen);
    else if (lane.kind === "unit") paintUnit(context, lane, program, scale, chosen);
    else if (lane.kind === "critical") paintCritical(context, lane, program, scale, chosen);
    else paintBandwidth(context, lane, events, scale, width);
  }
  paintTokens(context, lanes, program, scale, chosen);
  context.restore();
  context.textAlign = "right";
  for (const lane of lanes) {
    context.fillStyle = colour(lane.kind === "engine" ? "ink" : "faint");
    context.font = lane.kind === "unit" ? "10px system-ui, 'Liberation Sans', sans-serif" : "11px system-ui, 'Liberation Sans', sans-serif";
    context.fillText(lane.title, GUTTER - 8, (lane.top + lane.bottom) / 2);
  }
}

const isVisible = (events, at) => events.end[at] >= timeAxis.from && events.start[at] <= timeAxis.to;

function paintEngine(context, lane, events, scale, program, chosen) {
  let painted = -1;
  context.textAlign = "left";
  const tones = program.execution.kinds.map((_, kind) => category(kind));
  for (let at = 0; at < events.count; at++) {
    if (events.engine[at] !== lane.engine || !isVisible(events, at)) continue;
    const x = scale.x(events.start[at]), wide = (events.free[at] - events.start[at]) * scale.perCycle;
    const isChosen = events.layer[at] === chosen;
    if (x + wide < painted + 0.7 && !isChosen) continue;
    painted = x + wide;
    context.globalAlpha = chosen === null || isChosen ? 1 : 0.35;
    context.fillStyle = tones[events.kind[at]];
    context.fillRect(x, lane.top, Math.max(wide - (wide > 3 ? 1 : 0), 0.8), lane.height);
    // What is on its way when the engine takes the next command already.
    const late = (events.end[at] - events.free[at]) * scale.perCycle;
    if (late > 2) context.fillRect(x + wide, lane.bottom - 3, late, 3);
    if (isChosen) {
      context.strokeStyle = colour("mark");
      context.lineWidth = 2;
      context.strokeRect(x, lane.top - 1, Math.max(wide - 1, 2), lane.height + 2);
      context.lineWidth = 1;
    }
    if (wide > 40 && (chosen === null || isChosen)) {
      const left = Math.max(x, GUTTER);
      context.fillStyle = inkOn(`c${events.kind[at] % 10}`);
      fittingText(context, program.layers[events.layer[at]].short_name, left + 4, lane.top + lane.height / 2, x + wide - left - 8);
    }
  }
  context.globalAlpha = 1;
}

function paintUnit(context, lane, program, scale, chosen) {
  const { events } = program.execution, busy = events.busy[lane.unit];
  context.fillStyle = colour("shade");
  context.fillRect(GUTTER, lane.top, context.canvas.clientWidth, lane.height);
  const tones = program.execution.kinds.map((_, kind) => category(kind));
  let painted = -1;
  for (let at = 0; at < events.count; at++) {
    if (busy[at] && isVisible(events, at)) painted = paintBar(context, lane, events, at, busy[at], scale, chosen, tones, painted);
  }
  context.globalAlpha = 1;
}

function paintCritical(context, lane, program, scale, chosen) {
  const { events, critical, kinds } = program.execution;
  const tones = kinds.map((_, kind) => category(kind));
  let painted = -1;
  for (const [at, cycles] of critical) {
    const start = events.start[at];
    if (start + cycles >= timeAxis.from && start <= timeAxis.to) painted = paintBar(context, lane, events, at, cycles, scale, chosen, tones, painted);
  }
  context.globalAlpha = 1;
}

/** A command's bar, unless it ends within the pixel that has been painted last; returns how far all is painted. */
function paintBar(context, lane, events, at, cycles, scale, chosen, tones, painted) {
  const x = scale.x(events.start[at]), wide = cycles * scale.perCycle, isChosen = events.layer[at] === chosen;
  if (x + wide < painted + 0.5 && !isChosen) return painted;
  context.globalAlpha = chosen === null || isChosen ? 1 : 0.35;
  context.fillStyle = tones[events.kind[at]];
  context.fillRect(x, lane.top, Math.max(wide, 0.6), lane.height);
  return Math.max(painted, x + wide);
}

/** Bytes a cycle in each pixel's time, of what DRAM gives at most. */
function paintBandwidth(context, lane, events, scale, width) {
  const pixels = Math.max(1, Math.floor(width - GUTTER - 8)), moved = new Float64Array(pixels + 1);
  for (let at = 0; at < events.count; at++) {
    const bytes = events.read[at] + events.written[at];
    if (!bytes || !isVisible(events, at)) continue;
    const from = (events.start[at] - timeAxis.from) * scale.perCycle, to = (events.free[at] - timeAxis.from) * scale.perCycle;
    const density = bytes / Math.max(to - from, 1e-9);
    for (let pixel = Math.max(0, Math.floor(from)); pixel <= Math.min(pixels - 1, to); pixel++) {
      moved[pixel] += density * Math.max(0, Math.min(to, pixel + 1) - Math.max(from, pixel));
    }
  }
  context.fillStyle = colour("shade");
  context.fillRect(GUTTER, lane.top, width, lane.height);
  context.fillStyle = colour("c0");
  for (let pixel = 0; pixel < pixels; pixel++) {
    const share = Math.min(1, (moved[pixel] * scale.perCycle) / lane.most);
    if (share > 0) context.fillRect(GUTTER + pixel, lane.bottom - share * lane.height, 1, share * lane.height);
  }
}

/** Arrows from what a command waited for; all of them where there is room, else the selected layer's. */
function paintTokens(context, lanes, program, scale, chosen) {
  const { events } = program.execution;
  const lane = new Map(lanes.filter((each) => each.kind === "engine").map((each) => [each.engine, each]));
  const some = chosen === null ? [] : program.eventsOf.get(chosen) ?? [];
  let drawn = some;
  if (chosen === null) {
    drawn = [];
    for (let at = 0; at < events.count && drawn.length < 160; at++) if (isVisible(events, at)) drawn.push(at);
    if (drawn.length >= 160) return;
  }
  for (const at of drawn) {
    for (const token of events.waits[at]) {
      const from = lane.get(events.engine[token]), to = lane.get(events.engine[at]);
      const x0 = scale.x(events.end[token]), x1 = scale.x(events.start[at]);
      if (x1 < GUTTER && x0 < GUTTER) continue;
      const isDown = from.top <= to.top, y0 = isDown ? from.bottom : from.top, y1 = isDown ? to.top : to.bottom;
      context.strokeStyle = context.fillStyle = colour(events.critical[at] && events.critical[token] && events.end[token] === events.start[at] ? "mark" : "faint");
      context.beginPath();
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0 + 6, (y0 + y1) / 2, x1 - 6, (y0 + y1) / 2, x1, y1);
      context.stroke();
      const tip = isDown ? -5 : 5;
      context.beginPath();
      context.moveTo(x1, y1);
      context.lineTo(x1 - 3, y1 + tip);
      context.lineTo(x1 + 3, y1 + tip);
      context.fill();
    }
  }
}

function findEvent(program, lanes, width, x, y) {
  const { events, bounds, kinds, critical, dram_bytes_per_cycle: most } = program.execution;
  const lane = lanes.find((each) => y >= each.top - 1 && y <= each.bottom + 1);
  if (!lane || x < GUTTER || lane.kind === "bandwidth") return null;
  const scale = timeScale(width), cycle = scale.cycle(x), near = 1.5 / scale.perCycle;
  let found = -1;
  if (lane.kind === "critical") {
    const step = critical.find(([at, cycles]) => events.start[at] <= cycle && cycle < events.start[at] + cycles);
    if (step) found = step[0];
  } else {
    for (let at = 0; at < events.count; at++) {
      const isHere = lane.kind === "engine" ? events.engine[at] === lane.engine : events.busy[lane.unit][at] > 0;
      const end = lane.kind === "engine" ? events.free[at] : events.start[at] + events.busy[lane.unit][at];
      if (isHere && events.start[at] - near <= cycle && cycle <= end + near) found = at;
    }
  }
  if (found < 0) return null;
  const bytes = events.read[found] + events.written[found], took = events.end[found] - events.start[found];
  return {
    program: program.index, layer: events.layer[found],
    lines: [
      `${program.layers[events.layer[found]].short_name}: ${kinds[events.kind[found]]} (command ${events.command[found]} of ${program.segments[events.segment[found]]})`,
      `[${count(events.start[found])}, ${count(events.end[found])}), ${count(took)} cycles, ${microseconds(program, took)}`,
      `bound by ${bounds[events.bound[found]][1]}${events.critical[found] ? ", on the critical path" : ""}`,
      bytes ? `${shown(bytes, "bytes")} of DRAM${most ? `, ${count((100 * bytes) / (events.free[found] - events.start[found]) / most)} % of its bandwidth` : ""}` : "",
    ],
  };
}

// How near each layer comes to what multipliers and DRAM allow (Williams, Waterman, Patterson 2009).

function rooflineView(section) {
  const programs = PROGRAMS.filter((program) => program.execution && program.execution.macs_per_cycle && program.execution.dram_bytes_per_cycle);
  if (!programs.length) return section.append(el("p", { class: "empty" }, "What this machine can do at most is not known."));
  section.append(el("div", { class: "tools" }, "a circle is a layer, its area the time it adds; below the roof by as much as it could be faster"));
  for (const program of programs) {
    const panel = panelOf(section, program), height = 330;
    const { bounds } = program.execution;
    const points = rooflinePoints(program);
    if (!points.length) {
      panel.append(el("p", { class: "empty" }, "No layer on the NPU multiplies."));
      continue;
    }
    const drawn = makeCanvas(panel, height, "roofline", (context, width) => paintRoofline(context, width, height, program, points));
    pointing(drawn.canvas, (x, y) => {
      const scale = rooflineScale(drawn.canvas.clientWidth, height, program, points);
      const near = points.map((point) => [Math.hypot(scale.x(point.x) - x, scale.y(point.y) - y) - radius(point), point]).sort((a, b) => a[0] - b[0])[0];
      if (!near || near[0] > 4) return null;
      const { layer, x: intensity, y: speed } = near[1], row = program.layers[layer];
      const roof = Math.min(program.execution.macs_per_cycle, intensity * program.execution.dram_bytes_per_cycle);
      return { program: program.index, layer, lines: [row.short_name, `${significant(intensity)} MACs a byte of DRAM`,
        `${significant(speed)} MACs a cycle, ${count((100 * speed) / roof)} % of the roof`, `bound by ${row.bound_by}, ${shown(row.share, "share")} of the time`] };
    });
    const used = [...new Set(points.map((point) => point.bound))].filter((bound) => bound >= 0);
    panel.append(legend(used.map((bound) => [`c${bound % 10}`, bounds[bound][1]])));
  }
}

function rooflinePoints(program) {
  return program.layers.filter((layer) => layer.macs && layer.duration_cycles).map((layer) => ({
    layer: layer.index,
    x: layer.macs / Math.max(1, layer.dram_read_bytes + layer.dram_written_bytes),
    y: layer.macs / layer.duration_cycles,
    share: layer.share || 0,
    bound: program.execution.bounds.findIndex(([, title]) => title === layer.bound_by),
  }));
}

const radius = (point) => 3 + 26 * Math.sqrt(point.share / Math.PI);

function rooflineScale(width, height, program, points) {
  const { macs_per_cycle: roof, dram_bytes_per_cycle: slope } = program.execution;
  const ridge = roof / slope;
  const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
  const [left, right] = [Math.log10(Math.min(...xs, ridge) / 2), Math.log10(Math.max(...xs, ridge) * 2)];
  const [low, high] = [Math.log10(Math.min(...ys) / 2), Math.log10(roof * 1.7)];
  const box = { left: 70, right: width - 14, top: 12, bottom: height - 34 };
  return {
    box, left, right, low, high,
    x: (value) => box.left + ((Math.log10(value) - left) / (right - left)) * (box.right - box.left),
    y: (value) => box.bottom - ((Math.log10(value) - low) / (high - low)) * (box.bottom - box.top),
  };
}

function paintRoofline(context, width, height, program, points) {
  const { macs_per_cycle: roof, dram_bytes_per_cycle: slope } = program.execution;
  const scale = rooflineScale(width, height, program, points), { box } = scale;
  context.fillStyle = colour("faint");
  context.strokeStyle = colour("line");
  for (let power = Math.ceil(scale.left); power <= scale.right; power++) {
    const x = Math.round(scale.x(10 ** power)) + 0.5;
    context.textAlign = "center";
    context.fillText((10 ** power).toLocaleString("en-US"), x, box.bottom + 10);
    stroke(context, [[x, box.top], [x, box.bottom]]);
  }
  for (let power = Math.ceil(scale.low); power <= scale.high; power++) {
    const y = Math.round(scale.y(10 ** power)) + 0.5;
    context.textAlign = "right";
    context.fillText((10 ** power).toLocaleString("en-US"), box.left - 6, y);
    stroke(context, [[box.left, y], [box.right, y]]);
  }
  context.textAlign = "center";
  context.fillText("MACs a byte of DRAM", (box.left + box.right) / 2, height - 9);
  context.save();
  context.translate(12, (box.top + box.bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText("MACs a cycle", 0, 0);
  context.restore();
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.5;
  const ridge = roof / slope, most = 10 ** scale.right, least = Math.max(10 ** scale.left, 10 ** scale.low / slope);
  stroke(context, [[scale.x(least), scale.y(least * slope)], [scale.x(ridge), scale.y(roof)], [scale.x(most), scale.y(roof)]]);
  context.lineWidth = 1;
  context.textAlign = "right";
  context.fillStyle = colour("ink");
  context.fillText(`${count(roof)} MACs a cycle`, box.right - 4, scale.y(roof) - 8);
  context.textAlign = "left";
  const chosen = selection.layers[program.index];
  for (const point of points) {
    context.globalAlpha = chosen === null ? 0.75 : point.layer === chosen ? 1 : 0.25;
    context.fillStyle = category(Math.max(0, point.bound));
    context.beginPath();
    context.arc(scale.x(point.x), scale.y(point.y), radius(point), 0, 7);
    context.fill();
    if (point.layer === chosen) {
      context.strokeStyle = colour("mark");
      context.lineWidth = 2;
      context.stroke();
      context.lineWidth = 1;
    }
  }
  context.globalAlpha = 1;
}

function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

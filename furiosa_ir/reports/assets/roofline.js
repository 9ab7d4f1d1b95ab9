// How near each layer comes to what multipliers and DRAM allow (Williams, Waterman, Patterson 2009).

const ROOFLINE = { height: 340, left: 70, right: 16, top: 14, bottom: 44 };

function rooflineView(section) {
  const programs = PROGRAMS.filter((program) => program.execution && program.execution.macs_per_cycle && program.execution.dram_bytes_per_cycle);
  if (!programs.length) return section.append(el("p", { class: "empty" }, "What this machine can do at most is not known."));
  section.append(el("div", { class: "tools" }, "a circle is a layer, its area the time it adds; below the roof by as much as it could be faster"));
  for (const program of programs) {
    const panel = panelOf(section, program), points = rooflinePoints(program);
    if (points.length) makeRoofline(panel, program, points);
    else panel.append(el("p", { class: "empty" }, "No layer on the NPU multiplies."));
  }
}

/** Layers that multiply, the long ones first: the short ones are painted above them. */
function rooflinePoints(program) {
  const { bounds, macs_per_cycle: most, dram_bytes_per_cycle: slope } = program.execution;
  return program.layers.filter((layer) => layer.macs && layer.duration_cycles).map((layer) => {
    const x = layer.macs / Math.max(1, layer.dram_read_bytes + layer.dram_written_bytes), y = layer.macs / layer.duration_cycles;
    const bound = Math.max(0, bounds.findIndex(([, title]) => title === layer.bound_by));
    return { layer: layer.index, row: layer, x, y, bound, share: layer.share || 0, roof: Math.min(most, x * slope) };
  }).sort((a, b) => b.share - a.share);
}

function makeRoofline(panel, program, points) {
  const { macs_per_cycle: most, dram_bytes_per_cycle: slope, bounds } = program.execution;
  const { height, left, right, top, bottom } = ROOFLINE, ridge = most / slope;
  const xs = points.map((point) => point.x).concat(ridge), ys = points.map((point) => point.y);
  const x = d3.scaleLog().domain([Math.min(...xs) / 2, Math.max(...xs) * 2]);
  const y = d3.scaleLog([Math.min(...ys) / 2, most * 1.7], [height - bottom, top]);
  const svg = d3.select(panel).append("svg").attr("class", "roofline").attr("height", height).attr("role", "img").attr("aria-label", "roofline");
  const across = svg.append("g").attr("transform", `translate(0,${height - bottom})`);
  const down = svg.append("g").attr("transform", `translate(${left},0)`);
  const under = svg.append("text").attr("y", height - 8).attr("text-anchor", "middle").text("MACs a byte of DRAM");
  svg.append("text").attr("transform", `translate(14,${(top + height - bottom) / 2})rotate(-90)`).attr("text-anchor", "middle").text("MACs a cycle");
  const roof = svg.append("polyline");
  const best = svg.append("text").attr("class", "ink").attr("y", y(most) - 6).attr("text-anchor", "end").text(`${count(most)} MACs a cycle`);
  const circles = svg.append("g").selectAll("circle").data(points).join("circle")
    .attr("class", (point) => `c${point.bound % 10}`).attr("cy", (point) => y(point.y)).attr("r", (point) => 3 + 26 * Math.sqrt(point.share / Math.PI))
    .on("mousemove", (event, point) => showTip(event, [point.row.short_name, `${significant(point.x)} MACs a byte of DRAM`,
      `${significant(point.y)} MACs a cycle, ${count((100 * point.y) / point.roof)} % of the roof`, `bound by ${point.row.bound_by}, ${shown(point.row.share, "share")} of the time`]))
    .on("mouseleave", hideTip)
    .on("click", (event, point) => {
      event.stopPropagation();
      select(program.index, point.layer, svg.node());
    });
  svg.on("click", clearSelection);

  new ResizeObserver(() => {
    const width = svg.node().clientWidth;
    if (!width) return;
    const end = Math.max(left + 1, width - right), [least, widest] = x.range([left, end]).domain();
    across.call(d3.axisBottom(x).ticks(width / 90, ",").tickSize(top + bottom - height).tickPadding(8));
    down.call(d3.axisLeft(y).ticks(5, ",").tickSize(left - end).tickPadding(8));
    svg.selectAll(".tick").classed("minor", (_, at, ticks) => !ticks[at].textContent);
    under.attr("x", (left + end) / 2);
    best.attr("x", end - 4);
    const start = Math.max(least, y.domain()[0] / slope);
    roof.attr("points", [[start, start * slope], [ridge, most], [widest, most]].map(([a, b]) => `${x(a)},${y(b)}`).join(" "));
    circles.attr("cx", (point) => x(point.x));
  }).observe(svg.node());

  const mark = () => {
    const chosen = selection.layers[program.index];
    svg.classed("picked", chosen !== null);
    circles.classed("chosen", (point) => point.layer === chosen).filter(".chosen").raise();
  };
  onSelection(mark);
  mark();
  const used = [...new Set(points.map((point) => point.bound))].sort((a, b) => a - b);
  panel.append(legend(used.map((bound) => [`c${bound % 10}`, bounds[bound][1]])));
}

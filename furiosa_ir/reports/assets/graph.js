// The network: layers and whose results they read. Edges between segments are crossings.

const NODE = { width: 138, height: 32, across: 156, down: 54 };

function graphView(section) {
  const tools = el("div", { class: "tools" });
  section.append(tools);
  const finders = [];
  for (const program of PROGRAMS) finders.push(makeGraph(section, program, tools));
  tools.append(el("span", {}, "drag moves, Ctrl + wheel zooms, double click shows all; shade: share of the time; dashed: from segment to segment; right: the whole"));
  return { filter: (text) => finders.forEach((find) => find(text)) };
}

function makeGraph(section, program, tools) {
  const { nodes: rawNodes, edges } = program.graph;
  const nodes = rawNodes.map(([label, detail, kind, segment, layer, x, rank], index) => ({ index, label, detail, kind, segment, layer, x: x * NODE.across, y: rank * NODE.down }));
  const nodeOf = new Map(nodes.filter((node) => node.layer !== null).map((node) => [node.layer, node]));
  const bounds = { width: Math.max(0, ...nodes.map((node) => node.x)) + NODE.width, height: Math.max(0, ...nodes.map((node) => node.y)) + NODE.height };
  const longest = Math.max(1e-9, ...program.layers.map((layer) => layer.share || 0));
  const strip = 46;
  let view = d3.zoomIdentity;
  const height = PROGRAMS.length > 1 ? 360 : 520;
  let found = null;
  const panel = panelOf(section, program);
  const drawn = makeCanvas(panel, height, "graph of the network", paint);
  const { canvas } = drawn;
  panel.append(legend([["npu", "NPU"], ["host", "host"], ["tensor", "inputs and outputs"]]));

  const room = () => Math.max(1, canvas.clientWidth - strip);
  const isStrip = (x) => x > room();
  const whole = () => Math.min(1.1, (room() - 20) / bounds.width, (height - 20) / bounds.height);
  const zoom = d3.zoom().extent(() => [[0, 0], [room(), height]])
    .translateExtent([[-1000, -600], [bounds.width + 1000, bounds.height + 600]])
    .filter((event) => byCtrlOrDrag(event) && !isStrip(d3.pointer(event, canvas)[0])).wheelDelta(wheelDelta)
    .on("zoom", ({ transform }) => {
      view = transform;
      drawn.repaint();
    });
  const held = d3.select(canvas).call(zoom).on("dblclick.zoom", null);
  /** Puts a place of the graph onto one of the canvas. */
  const show = ([x, y], [left, top], scale = view.k) => held.call(zoom.transform, d3.zoomIdentity.translate(left - x * scale, top - y * scale).scale(scale));
  const fit = () => show([bounds.width / 2, bounds.height / 2], [room() / 2, height / 2], whole());
  const start = () => {
    const first = nodes.find((node) => node.kind === "input") ?? nodes[0];
    show([bounds.width < room() ? bounds.width / 2 : middle(first), first.y], [room() / 2, 10], 1);
  };
  const centre = (node) => show([middle(node), node.y + NODE.height / 2], [room() / 2, height / 2], Math.max(view.k, 0.9));
  const scaleBy = (factor) => held.call(zoom.scaleBy, factor);
  const moveBy = (x, y) => held.call(zoom.translateBy, x / view.k, y / view.k);
  canvas.keys = {
    "+": () => scaleBy(1.4), "=": () => scaleBy(1.4), "-": () => scaleBy(0.7), 0: fit,
    ArrowLeft: () => moveBy(120, 0), ArrowRight: () => moveBy(-120, 0),
    PageUp: () => moveBy(0, height * 0.8), PageDown: () => moveBy(0, -height * 0.8), Home: start,
  };
  const name = PROGRAMS.length > 1 ? ` ${"AB"[program.index]}` : "";
  tools.append(el("button", { type: "button", onclick: () => scaleBy(0.7) }, `−${name}`), el("button", { type: "button", onclick: () => scaleBy(1.4) }, `+${name}`),
    el("button", { type: "button", onclick: fit }, `all${name}`), el("button", { type: "button", onclick: start }, `top${name}`));
  let ready = false;
  new ResizeObserver(() => {
    zoom.scaleExtent([Math.min(0.04, whole()), 2.5]);
    if (!ready && canvas.clientWidth && nodes.length) start();
    ready = canvas.clientWidth > 0;
  }).observe(canvas);
  canvas.addEventListener("dblclick", fit);
  held.call(d3.drag().container(canvas).filter((event) => !event.button && isStrip(d3.pointer(event, canvas)[0]))
    .on("start drag", ({ y }) => show([(room() / 2 - view.x) / view.k, (y / height) * bounds.height], [room() / 2, height / 2])))
    .style("touch-action", null);
  pointing(canvas, (x, y) => {
    if (isStrip(x)) return { program: program.index, layer: null, lines: null };
    const [at, down] = view.invert([x, y]);
    const node = nodes.find((each) => at >= each.x && at <= each.x + NODE.width && down >= each.y && down <= each.y + NODE.height);
    if (node) {
      const layer = node.layer === null ? null : program.layers[node.layer];
      return { program: program.index, layer: node.layer, lines: [layer ? layer.name.slice(0, 300) : node.label, node.detail,
        node.segment === null ? node.kind : program.segments[node.segment],
        layer && layer.duration_us !== null ? `${shown(layer.duration_us, "microseconds")}, ${shown(layer.share, "share")} of the time, bound by ${layer.bound_by}` : layer && layer.reason] };
    }
    return null;
  });
  onSelection((origin) => {
    const node = nodeOf.get(selection.layers[program.index]);
    if (node && origin !== canvas) centre(node);
  });

  const middle = (node) => node.x + NODE.width / 2;
  function colourOf(node) {
    if (node.segment === null) return "tensor";
    return program.layers.some((layer) => layer.index === node.layer && layer.placement === "host") || (node.layer === null && program.segments[node.segment].startsWith("host")) ? "host" : "npu";
  }
  function route([source, target, , bends]) {
    const [a, b] = [nodes[source], nodes[target]];
    const isDown = a.y <= b.y, points = [[middle(a), isDown ? a.y + NODE.height : a.y]];
    bends.forEach((x, at) => {
      const y = a.y + (isDown ? 1 : -1) * (at + 1) * NODE.down;
      points.push([x * NODE.across + NODE.width / 2, y], [x * NODE.across + NODE.width / 2, y + NODE.height]);
    });
    points.push([middle(b), isDown ? b.y : b.y + NODE.height]);
    return points;
  }
  const routes = edges.map((edge) => {
    const points = route(edge), ys = points.map(([, y]) => y);
    return { edge, points, top: Math.min(...ys), bottom: Math.max(...ys) };
  });

  function paint(context) {
    if (!nodes.length) {
      context.fillStyle = colour("faint");
      context.fillText("no layers", 20, 20);
      return;
    }
    const chosen = selection.layers[program.index];
    const [top, bottom] = [view.invertY(0) - NODE.down, view.invertY(height) + NODE.down];
    context.save();
    context.beginPath();
    context.rect(0, 0, room(), height);
    context.clip();
    context.translate(view.x, view.y);
    context.scale(view.k, view.k);
    for (const { edge, points, top: high, bottom: low } of routes) {
      if (low < top || high > bottom) continue;
      const isNear = chosen !== null && [edge[0], edge[1]].some((end) => nodes[end].layer === chosen);
      context.strokeStyle = colour(isNear ? "mark" : edge[2] ? "host" : "faint");
      context.lineWidth = (isNear ? 2 : 1) / Math.min(1, view.k * 1.3);
      context.globalAlpha = isNear || chosen === null ? 0.9 : 0.45;
      context.setLineDash(edge[2] ? [5, 3] : []);
      context.beginPath();
      context.moveTo(...points[0]);
      for (let at = 1; at < points.length; at++) {
        const [[x0, y0], [x1, y1]] = [points[at - 1], points[at]];
        if (x0 === x1) context.lineTo(x1, y1);
        else context.bezierCurveTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1);
      }
      context.stroke();
      context.setLineDash([]);
      const [end, before] = [points[points.length - 1], points[points.length - 2]];
      if (view.k > 0.3) {
        const way = end[1] >= before[1] ? -5 : 5;
        context.fillStyle = context.strokeStyle;
        context.beginPath();
        context.moveTo(...end);
        context.lineTo(end[0] - 3, end[1] + way);
        context.lineTo(end[0] + 3, end[1] + way);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    context.textAlign = "left";
    for (const node of nodes) {
      if (node.y < top - NODE.height || node.y > bottom) continue;
      paintNode(context, node, chosen);
    }
    context.restore();
    paintStrip(context, room(), chosen);
  }

  function paintNode(context, node, chosen) {
    const tone = colour(colourOf(node)), layer = node.layer === null ? null : program.layers[node.layer];
    context.fillStyle = colour("paper");
    context.beginPath();
    context.roundRect(node.x, node.y, NODE.width, NODE.height, node.kind === "layer" ? 4 : 14);
    context.fill();
    context.fillStyle = tone;
    context.globalAlpha = 0.1 + 0.55 * ((layer && layer.share) || 0) / longest;
    context.fill();
    context.globalAlpha = found && !found.has(node.index) ? 0.25 : 1;
    const isChosen = chosen !== null && node.layer === chosen;
    context.lineWidth = isChosen || (found && found.has(node.index)) ? 2.5 : 1;
    context.strokeStyle = isChosen ? colour("mark") : found && found.has(node.index) ? colour("accent") : tone;
    context.stroke();
    if (view.k > 0.42) {
      context.fillStyle = colour("ink");
      fittingText(context, node.label, node.x + 6, node.y + 10.5, NODE.width - 10);
      context.fillStyle = colour("faint");
      fittingText(context, node.detail, node.x + 6, node.y + 22.5, NODE.width - 10);
    }
    context.globalAlpha = 1;
    context.lineWidth = 1;
  }

  /** All of it, at the right: where the time goes, and where one is. */
  function paintStrip(context, left, chosen) {
    context.fillStyle = colour("shade");
    context.fillRect(left, 0, strip, height);
    const y = (at) => (at / bounds.height) * height, x = (at) => left + 3 + (at / bounds.width) * (strip - 6);
    for (const node of nodes) {
      const layer = node.layer === null ? null : program.layers[node.layer];
      const isMarked = (node.layer !== null && node.layer === chosen) || (found && found.has(node.index));
      context.globalAlpha = isMarked ? 1 : 0.3 + 0.7 * ((layer && layer.share) || 0) / longest;
      context.fillStyle = colour(isMarked ? "mark" : colourOf(node));
      context.fillRect(x(node.x), y(node.y), Math.max(2, (NODE.width / bounds.width) * (strip - 6)), Math.max(1, y(NODE.height) - 0.5));
    }
    context.globalAlpha = 1;
    context.strokeStyle = colour("ink");
    const seen = [Math.max(0, y(view.invertY(0))), Math.min(height, y(view.invertY(height)))];
    context.strokeRect(left + 0.5, seen[0] + 0.5, strip - 1, Math.max(2, seen[1] - seen[0] - 1));
  }

  return (text) => {
    const words = text.toLowerCase().split(/\s+/).filter((word) => word);
    const matches = (node) => {
      const layer = node.layer === null ? null : program.layers[node.layer];
      const held = `${node.label}\n${node.detail}\n${layer ? `${layer.name}\n${layer.placement}\n${layer.bound_by}` : ""}`.toLowerCase();
      return words.every((word) => held.includes(word));
    };
    const hits = words.length ? nodes.filter(matches) : [];
    found = words.length ? new Set(hits.map((node) => node.index)) : null;
    if (hits.length) centre(hits[0]);
    drawn.repaint();
  };
}

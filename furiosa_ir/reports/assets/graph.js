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
  const view = { x: 0, y: 0, scale: 1 }, strip = 46;
  const height = PROGRAMS.length > 1 ? 360 : 520;
  let found = null;
  const panel = panelOf(section, program);
  const drawn = makeCanvas(panel, height, "graph of the network", paint);
  const { canvas } = drawn;
  panel.append(legend([["npu", "NPU"], ["host", "host"], ["tensor", "inputs and outputs"]]));

  const fit = () => {
    const width = canvas.clientWidth - strip;
    view.scale = Math.min(1.1, (width - 20) / bounds.width, (height - 20) / bounds.height);
    view.x = (bounds.width - width / view.scale) / 2;
    view.y = (bounds.height - height / view.scale) / 2;
    drawn.repaint();
  };
  const start = () => {
    const width = canvas.clientWidth - strip;
    view.scale = 1;
    const first = nodes.find((node) => node.kind === "input") ?? nodes[0];
    view.x = bounds.width * view.scale < width ? (bounds.width - width / view.scale) / 2 : first.x + NODE.width / 2 - width / view.scale / 2;
    view.y = first.y - 10 / view.scale;
    drawn.repaint();
  };
  const zoom = (factor, x = (canvas.clientWidth - strip) / 2, y = height / 2) => {
    const scale = Math.max(0.04, Math.min(2.5, view.scale * factor)), change = 1 / view.scale - 1 / scale;
    view.x += x * change;
    view.y += y * change;
    view.scale = scale;
    drawn.repaint();
  };
  const centre = (node) => {
    view.scale = Math.max(view.scale, 0.9);
    view.x = node.x + NODE.width / 2 - (canvas.clientWidth - strip) / view.scale / 2;
    view.y = node.y + NODE.height / 2 - height / view.scale / 2;
    drawn.repaint();
  };
  const name = PROGRAMS.length > 1 ? ` ${"AB"[program.index]}` : "";
  tools.append(el("button", { type: "button", onclick: () => zoom(0.7) }, `−${name}`), el("button", { type: "button", onclick: () => zoom(1.4) }, `+${name}`),
    el("button", { type: "button", onclick: fit }, `all${name}`), el("button", { type: "button", onclick: start }, `top${name}`));
  let ready = false;
  new ResizeObserver(() => {
    if (!ready && canvas.clientWidth && nodes.length) start();
    ready = canvas.clientWidth > 0;
  }).observe(canvas);

  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.004), event.offsetX, event.offsetY);
  }, { passive: false });
  dragging(canvas, (dx, dy) => {
    view.x -= dx / view.scale;
    view.y -= dy / view.scale;
    drawn.repaint();
  });
  canvas.addEventListener("dblclick", fit);
  canvas.addEventListener("click", (event) => {
    if (event.offsetX < canvas.clientWidth - strip || canvas.dataset.dragged) return;
    view.y = (event.offsetY / height) * bounds.height - height / view.scale / 2;
    drawn.repaint();
  }, true);
  pointing(canvas, (x, y) => {
    if (x > canvas.clientWidth - strip) return { program: program.index, layer: null, lines: null };
    const [at, down] = [view.x + x / view.scale, view.y + y / view.scale];
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

  function paint(context, width) {
    if (!nodes.length) {
      context.fillStyle = colour("faint");
      context.fillText("no layers", 20, 20);
      return;
    }
    const room = width - strip, chosen = selection.layers[program.index];
    const [top, bottom] = [view.y - NODE.down, view.y + height / view.scale + NODE.down];
    context.save();
    context.beginPath();
    context.rect(0, 0, room, height);
    context.clip();
    context.scale(view.scale, view.scale);
    context.translate(-view.x, -view.y);
    for (const { edge, points, top: high, bottom: low } of routes) {
      if (low < top || high > bottom) continue;
      const isNear = chosen !== null && [edge[0], edge[1]].some((end) => nodes[end].layer === chosen);
      context.strokeStyle = colour(isNear ? "mark" : edge[2] ? "host" : "faint");
      context.lineWidth = (isNear ? 2 : 1) / Math.min(1, view.scale * 1.3);
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
      if (view.scale > 0.3) {
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
    paintStrip(context, room, width, chosen);
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
    if (view.scale > 0.42) {
      context.fillStyle = colour("ink");
      fittingText(context, node.label, node.x + 6, node.y + 10.5, NODE.width - 10);
      context.fillStyle = colour("faint");
      fittingText(context, node.detail, node.x + 6, node.y + 22.5, NODE.width - 10);
    }
    context.globalAlpha = 1;
    context.lineWidth = 1;
  }

  /** All of it, at the right: where the time goes, and where one is. */
  function paintStrip(context, left, width, chosen) {
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
    context.strokeRect(left + 0.5, Math.max(0, y(view.y)) + 0.5, strip - 1, Math.min(height, y(height / view.scale)) - 1);
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

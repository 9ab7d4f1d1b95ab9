// On-chip memory: address by time, a rectangle a tensor, and how much is in use.

function memoryView(section) {
  const tools = timeTools(section);
  tools.append(el("span", {}, "a rectangle is a tensor from its first byte written to its last one read"), ...PROGRAMS.filter((program) => program.execution).map((program) =>
    el("span", {}, `${PROGRAMS.length > 1 ? `${"AB"[program.index]}: ` : ""}computation ${count(program.execution.computation)} / total ${count(program.cycles)} cycles`)));
  const programs = PROGRAMS.filter((program) => program.execution && program.execution.buffers.count);
  if (!programs.length) {
    const isKnown = PROGRAMS.some((program) => program.execution);
    tools.remove();
    return section.append(el("p", { class: "empty" }, isKnown ? "Nothing lies in the NPU's memory." : "What lies where is not known of this machine."));
  }
  for (const program of programs) {
    const { contents, memory } = program.execution;
    const panel = panelOf(section, program);
    const height = 340;
    const drawn = makeCanvas(panel, height, "memory over time", (context, width) => paintMemory(context, width, height, program));
    controlTime(drawn);
    pointing(drawn.canvas, (x, y) => findBuffer(program, drawn.canvas.clientWidth, height, x, y));
    const used = shown(memory.used, "bytes"), least = shown(memory.least, "bytes"), bound = shown(memory.bound, "bytes");
    const over = memory.used === memory.bound ? "reached" : `the highest address is ${(memory.used / memory.bound).toFixed(3)} times that`;
    panel.append(legend([...contents.map((name, at) => [`c${at % 10}`, name]), ["mark", `in use, at most ${least}`],
      ...(memory.bound ? [["faint", `needed at once, the lower bound: ${bound}, ${over}`]] : []),
      ["ink", `highest address: ${used} of ${shown(memory.bytes, "bytes")} (${memory.title})`]]));
  }
}

/** Addresses to pixels: to the highest in use, with some air. */
function memoryScale(program, height) {
  const most = Math.min(program.execution.memory.bytes, program.execution.memory.used * 1.08) || 1;
  const perByte = (height - 26) / most;
  return { most, perByte, y: (address) => height - 6 - address * perByte };
}

function paintMemory(context, width, height, program) {
  const { buffers, memory } = program.execution, chosen = selection.layers[program.index];
  const scale = timeScale(width), place = memoryScale(program, height);
  paintTicks(context, program, width, height, scale);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 16, width - GUTTER, height);
  context.clip();
  context.textAlign = "left";
  const tones = program.execution.contents.map((_, what) => category(what));
  for (let at = 0; at < buffers.count; at++) {
    if (buffers.end[at] < timeAxis.from || buffers.start[at] > timeAxis.to) continue;
    const x = scale.x(buffers.start[at]), wide = Math.max((buffers.end[at] - buffers.start[at]) * scale.perCycle, 0.8);
    const high = Math.max(buffers.size[at] * place.perByte, 0.8), y = place.y(buffers.address[at]) - high;
    const isChosen = buffers.layer[at] === chosen;
    // Between neighbours, a pixel of paper.
    const air = wide > 3 && high > 3 ? 1 : 0;
    context.globalAlpha = chosen === null ? 0.8 : isChosen ? 1 : 0.25;
    context.fillStyle = tones[buffers.what[at]];
    context.fillRect(x, y, wide - air, high - air);
    if (isChosen) {
      context.strokeStyle = colour("mark");
      context.lineWidth = 2;
      context.strokeRect(x, y, Math.max(wide, 2), Math.max(high, 2));
      context.lineWidth = 1;
    }
    if (wide > 46 && high > 13 && (chosen === null || isChosen)) {
      const left = Math.max(x, GUTTER);
      context.fillStyle = inkOn(`c${buffers.what[at] % 10}`);
      fittingText(context, program.layers[buffers.layer[at]].short_name, left + 4, y + high / 2, x + wide - left - 8);
    }
  }
  context.globalAlpha = 1;
  const line = (address, name, dash) => {
    context.strokeStyle = colour(name);
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(GUTTER, place.y(address));
    context.lineTo(width, place.y(address));
    context.stroke();
    context.setLineDash([]);
  };
  line(memory.used, "ink", [4, 3]);
  if (memory.bound && memory.bound !== memory.used) line(memory.bound, "faint", [2, 3]);
  line(memory.least, "mark", [4, 3]);
  paintInUse(context, memory.live, scale, place);
  context.restore();
  context.fillStyle = colour("faint");
  context.textAlign = "right";
  const step = 2 ** Math.ceil(Math.log2(place.most / 7));
  for (let address = 0; address <= place.most; address += step) {
    context.fillText(shown(Math.round(address), "bytes"), GUTTER - 8, Math.max(24, place.y(address)));
  }
}

/** What is in use: its most within each pixel's time, and faint below it, how far it goes down in between. */
function paintInUse(context, live, scale, place) {
  const columns = [];
  let size = 0;
  for (const [time, next] of live) {
    const x = Math.round(scale.x(time)), last = columns[columns.length - 1];
    if (x >= GUTTER - 1 && last && last.x === x) Object.assign(last, { most: Math.max(last.most, next), least: Math.min(last.least, next), last: next });
    else columns.push({ x, first: size, most: Math.max(size, next), least: Math.min(size, next), last: next });
    size = next;
  }
  context.fillStyle = context.strokeStyle = colour("mark");
  context.globalAlpha = 0.25;
  for (const { x, most, least } of columns) context.fillRect(x, place.y(most), 1, place.y(least) - place.y(most));
  context.globalAlpha = 1;
  context.lineWidth = 1.5;
  const line = [[GUTTER, place.y(0)]];
  columns.forEach(({ x, first, most, last }, at) => {
    const isDense = columns[at + 1]?.x === x + 1;
    line.push([x, place.y(columns[at - 1]?.x === x - 1 ? most : first)], [x, place.y(most)], [x, place.y(isDense ? most : last)]);
  });
  stroke(context, line);
  context.lineWidth = 1;
}

function findBuffer(program, width, height, x, y) {
  const { buffers, contents } = program.execution;
  const scale = timeScale(width), place = memoryScale(program, height), near = 1 / scale.perCycle;
  if (x < GUTTER) return null;
  const cycle = scale.cycle(x), address = (height - 6 - y) / place.perByte;
  for (let at = buffers.count - 1; at >= 0; at--) {
    if (buffers.address[at] <= address && address < buffers.address[at] + buffers.size[at] && buffers.start[at] - near <= cycle && cycle <= buffers.end[at] + near) {
      const [start, end] = [buffers.start[at], buffers.end[at]];
      return {
        program: program.index, layer: buffers.layer[at],
        lines: [
          `${contents[buffers.what[at]]} of ${program.layers[buffers.layer[at]].short_name}`,
          `lifetime [${count(start)}, ${count(end)}), ${microseconds(program, end - start)}`,
          `addresses [0x${buffers.address[at].toString(16)}, 0x${(buffers.address[at] + buffers.size[at]).toString(16)}), ${shown(buffers.size[at], "bytes")}`,
        ],
      };
    }
  }
  return null;
}

// The table of layers: sorted, filtered, and only the rows on the screen are in the document.

const ROW = 24;
const FIRST = ["short_name", "operator", "placement", "duration_us", "share", "bound_by", "utilisation", "macs",
  "tiles", "weight_bytes", "dram_read_bytes", "dram_written_bytes", "sram_used_bytes", "cycles", "duration_cycles", "hint"];

/** The columns: of one program, or of two, side by side with the difference. */
function tableColumns(all) {
  const known = PROGRAMS[0].columns;
  if (PROGRAMS.length === 1) {
    const first = FIRST.map((key) => known.find((column) => column.key === key));
    const rest = known.filter((column) => !FIRST.includes(column.key));
    const used = (column) => PROGRAMS[0].layers.some((layer) => layer[column.key] !== null && layer[column.key] !== "");
    return (all ? [...first, ...rest] : first).filter(used).map((column) => ({ ...column, value: (row) => row[0][column.key] }));
  }
  const text = ["short_name", "operator"].map((key) => {
    const column = known.find((each) => each.key === key);
    return { ...column, value: (row) => (row[0] ?? row[1])[key] };
  });
  const numbers = ["duration_us", "cycles", "bound_by", "placement", "dram_read_bytes", "utilisation"];
  const keys = all ? known.map((column) => column.key).filter((key) => !["short_name", "operator"].includes(key)) : numbers;
  return text.concat(keys.flatMap((key) => {
    const column = known.find((each) => each.key === key);
    const sides = [0, 1].map((side) => ({ ...column, key: `${key}${side}`, title: `${column.title} ${"AB"[side]}`, value: (row) => row[side] && row[side][key] }));
    if (column.unit === "text" || key === "hint") return sides;
    const change = (row) => row[0] && row[1] && row[0][key] !== null && row[1][key] !== null ? row[1][key] - row[0][key] : null;
    return [...sides, { ...column, key: `${key}-change`, title: "B − A", value: change, isChange: true }];
  }));
}

/** A figure below others of its kind: what stands in the column's head is no more said, and points are in a line. */
function shownInColumn(value, unit) {
  if (value === null || value === undefined) return "";
  if (unit === "microseconds") return value.toLocaleString("en-US", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  if (unit === "share") return `${(100 * value).toFixed(1)} %`;
  return shown(value, unit);
}

function tableRows() {
  if (PROGRAMS.length === 1) return PROGRAMS[0].layers.map((layer) => [layer]);
  const [a, b] = PROGRAMS;
  const rows = a.layers.map((layer) => [layer, b.layers[namesOf[1].get(layer.name)] ?? null]);
  return rows.concat(b.layers.filter((layer) => !namesOf[0].has(layer.name)).map((layer) => [null, layer]));
}

function layersView(section) {
  section.classList.add("long");
  const every = tableRows();
  const sorted = { column: null, down: true };
  let columns = tableColumns(false), rows = every, words = [];
  const counted = el("span");
  const tools = el("div", { class: "tools" }, counted);
  const more = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    const all = more.getAttribute("aria-pressed") !== "true";
    more.setAttribute("aria-pressed", all);
    columns = tableColumns(all);
    heads();
    paint(true);
  } }, "all columns");
  tools.append(more, el("button", { type: "button", onclick: () => download(rows) }, "CSV"),
    el("span", {}, "durations overlap; what layers add sums to the whole"));
  const head = el("tr"), body = el("tbody");
  const table = el("table", {}, el("thead", {}, head), body);
  const scroller = el("div", { class: "table", tabindex: "0", role: "region", "aria-label": "layers" }, table);
  section.append(tools, el("div", { class: "panel" }, scroller));

  function heads() {
    head.replaceChildren(...columns.map((column, at) => {
      const way = sorted.column === column.key ? (sorted.down ? "descending" : "ascending") : null;
      const button = el("button", { type: "button", title: column.description, onclick: () => sortBy(column) }, column.title);
      return el("th", { class: (column.unit === "text" ? "" : "number") + (at > 8 ? " optional" : ""), "aria-sort": way, scope: "col" }, button);
    }));
  }

  function sortBy(column) {
    const text = column.unit === "text";
    if (sorted.column !== column.key) Object.assign(sorted, { column: column.key, down: !text });
    else if (sorted.down !== text) sorted.down = !sorted.down;
    else sorted.column = null;
    arrange();
  }

  function arrange() {
    const column = columns.find((each) => each.key === sorted.column);
    rows = every.filter((row) => words.every((word) => haystack(row).includes(word)));
    if (column) {
      const sign = sorted.down ? -1 : 1;
      const empty = (value) => value === null || value === undefined || value === "";
      rows.sort((a, b) => {
        const [x, y] = [column.value(a), column.value(b)];
        if (empty(x) || empty(y)) return empty(x) - empty(y);
        return sign * (column.unit === "text" ? String(x).localeCompare(String(y)) : x - y);
      });
    }
    counted.textContent = rows.length === every.length ? `${every.length} layers` : `${rows.length} of ${every.length} layers`;
    heads();
    paint(true);
  }

  const texts = new Map();
  function haystack(row) {
    if (!texts.has(row)) {
      const held = row.filter((layer) => layer).flatMap((layer) => [layer.short_name, layer.name, layer.operator, layer.placement, layer.segment, layer.bound_by, layer.reason]);
      texts.set(row, held.join("\n").toLowerCase());
    }
    return texts.get(row);
  }

  const longest = Math.max(1e-9, ...every.map((row) => Math.max(...row.map((layer) => (layer && layer.share) || 0))));
  function cellOf(column, row, at) {
    const value = column.value(row);
    let text = shownInColumn(value, column.unit);
    const classes = [column.unit === "text" ? "" : "number", at > 8 ? "optional" : ""];
    if (column.isChange && value) {
      classes.push(value > 0 ? "more" : "less");
      text = (value > 0 ? "+" : "−") + shownInColumn(Math.abs(value), column.unit);
    }
    if (value === "host") classes.push("host");
    const cell = el("td", { class: classes.join(" ").trim() }, text);
    if (column.key === "short_name") cell.title = (row[0] ?? row[1]).name;
    else if (column.unit === "text" && text.length > 18) cell.title = text;
    if (column.key === "share" && value) {
      const bar = el("i");
      bar.style.width = `${(100 * value) / longest}%`;
      cell.classList.add("bar");
      cell.append(bar);
    }
    return cell;
  }

  let from = -1, to = -1, whole = false, lines = [];
  function paint(anew) {
    const first = whole ? 0 : Math.max(0, Math.floor(scroller.scrollTop / ROW) - 8);
    const last = whole ? rows.length : Math.min(rows.length, first + Math.ceil(scroller.clientHeight / ROW) + 16);
    if (!anew && first === from && last === to) return;
    [from, to] = [first, last];
    const space = (count) => {
      const cell = el("td", { colspan: columns.length });
      cell.style.height = `${count * ROW}px`;
      return el("tr", { class: "space", "aria-hidden": "true" }, cell);
    };
    lines = rows.slice(first, last).map((row) => {
      const side = row[0] ? 0 : 1;
      const line = el("tr", { onclick: () => select(side, row[side].index, section) });
      line.append(...columns.map((column, at) => cellOf(column, row, at)));
      return [line, row];
    });
    body.replaceChildren(space(first), ...lines.map(([line]) => line), space(rows.length - last));
    mark();
  }
  const isChosen = (row) => row.some((layer, side) => layer && selection.layers[side] === layer.index);
  function mark() {
    for (const [line, row] of lines) {
      line.classList.toggle("chosen", isChosen(row));
      line.setAttribute("aria-selected", String(isChosen(row)));
    }
  }
  scroller.addEventListener("scroll", () => paint(false));
  new ResizeObserver(() => paint(false)).observe(scroller);
  addEventListener("beforeprint", () => { whole = true; scroller.classList.add("whole"); paint(true); });
  addEventListener("afterprint", () => { whole = false; scroller.classList.remove("whole"); paint(true); });

  const placeOf = () => rows.findIndex(isChosen);
  onSelection((origin) => {
    const at = placeOf();
    if (at >= 0 && origin !== section) {
      const top = at * ROW, room = scroller.clientHeight - 3 * ROW;
      if (top < scroller.scrollTop || top > scroller.scrollTop + room) scroller.scrollTop = Math.max(0, top - room / 2);
    }
    paint(false);
    mark();
  });
  arrange();
  return {
    filter(text) {
      words = text.toLowerCase().split(/\s+/).filter((word) => word);
      scroller.scrollTop = 0;
      arrange();
    },
    step(by) {
      const at = placeOf();
      const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
      if (row) select(row[0] ? 0 : 1, (row[0] ?? row[1]).index);
    },
  };

  function download(held) {
    const wide = tableColumns(true);
    // What begins like a formula is none, in a spreadsheet.
    const cell = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return `"${(typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? "'" : "") + text.replaceAll('"', '""')}"`;
    };
    const lines = [wide.map((column) => cell(column.key)), ...held.map((row) => wide.map((column) => cell(column.value(row))))];
    const address = URL.createObjectURL(new Blob([lines.map((line) => line.join(",")).join("\n") + "\n"], { type: "text/csv" }));
    el("a", { href: address, download: "layers.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}

"use strict";
// What the page is about. Every text of a model is put on the screen with textContent, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

function summed(differences) {
  const numbers = new Float64Array(differences.length);
  let at = 0;
  differences.forEach((difference, i) => (numbers[i] = at += difference));
  return numbers;
}

/** A program: layers as objects, events and buffers as columns with absolute times. */
function readProgram(raw, index) {
  const keys = raw.columns.map((column) => column[0]);
  const layers = raw.layers.map((cells, i) => {
    const layer = { index: i };
    keys.forEach((key, at) => (layer[key] = cells[at]));
    return layer;
  });
  const columns = raw.columns.map(([key, title, unit, description]) => ({ key, title, unit, description }));
  const program = { ...raw, index, layers, columns };
  if (raw.execution) {
    const { events, buffers } = raw.execution;
    for (const table of [events, buffers]) {
      table.start = summed(table.start);
      for (const key of ["end", "free"]) if (table[key]) table[key] = table[key].map((more, i) => table.start[i] + more);
      table.count = table.start.length;
    }
    events.waits = events.waits.map((back, i) => back.map((steps) => i - steps));
    events.critical = new Uint8Array(events.count);
    raw.execution.critical.forEach(([event]) => (events.critical[event] = 1));
    program.eventsOf = groupedBy(events.layer);
  }
  return program;
}

function groupedBy(keys) {
  const groups = new Map();
  keys.forEach((key, i) => groups.has(key) ? groups.get(key).push(i) : groups.set(key, [i]));
  return groups;
}

const PROGRAMS = DATA.programs.map(readProgram);
const LONGEST = Math.max(1, ...PROGRAMS.map((program) => program.cycles));

function count(value) {
  return Math.round(value).toLocaleString("en-US");
}

function significant(value, digits = 3) {
  if (value === 0) return "0";
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(places, 6));
}

/** A figure for people; units are those of furiosa_ir/reports/units.py. */
function shown(value, unit) {
  if (value === null || value === undefined) return "";
  if (unit === "text") return String(value);
  if (unit === "share") return `${significant(value * 100)} %`;
  if (unit === "microseconds") return value >= 1000 ? `${significant(value / 1000, 4)} ms` : `${significant(value, 4)} µs`;
  if (unit === "bytes") {
    let size = value;
    for (const name of ["B", "KiB", "MiB", "GiB"]) {
      if (size < 1024 || name === "GiB") return `${name === "B" ? size : significant(size)} ${name}`;
      size /= 1024;
    }
  }
  return count(value);
}

function microseconds(program, cycles) {
  return program.clock_hz ? shown((cycles / program.clock_hz) * 1e6, "microseconds") : "";
}

/** The text of a compressed block of the page. */
async function unpacked(id) {
  const held = document.getElementById(id);
  if (!held) return null;
  const bytes = Uint8Array.from(atob(held.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// Elements, canvases of the screen's own resolution, colours of the theme, the tooltip.

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

let colours = new Map();
const repaints = [], prints = [];

/** The theme's colour of that name. */
function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return colours.get(name);
}

const category = (index) => colour(`c${index % 10}`);

/** Black or white: what can be read on the theme's colour of that name. */
function inkOn(name) {
  const key = `on ${name}`;
  if (!colours.has(key)) {
    const { r, g, b } = d3.rgb(colour(name));
    const [red, green, blue] = [r, g, b].map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    colours.set(key, 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff");
  }
  return colours.get(key);
}

function repaintAll() {
  colours = new Map();
  repaints.forEach((repaint) => repaint());
}

/** A canvas that calls paint(context, width, height) when its size, the theme or the selection changes, once it is seen. */
function makeCanvas(parent, height, label, paint) {
  const canvas = el("canvas", { role: "img", "aria-label": label, tabindex: "0" });
  canvas.style.height = `${height}px`;
  parent.append(canvas);
  const context = canvas.getContext("2d", { alpha: false });
  let waiting = false, isSeen = false, isStale = true;
  const repaint = () => {
    waiting = isStale = false;
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colour("paper");
    context.fillRect(0, 0, width, height);
    context.font = "11px system-ui, 'Liberation Sans', sans-serif";
    context.textBaseline = "middle";
    paint(context, width, height);
  };
  const later = () => {
    isStale = true;
    if (waiting || !isSeen) return;
    requestAnimationFrame(repaint);
    waiting = true;
  };
  new IntersectionObserver(([entry]) => {
    isSeen = entry.isIntersecting;
    if (isSeen && isStale) later();
  }, { rootMargin: "100px" }).observe(canvas);
  prints.push(repaint);
  new ResizeObserver(later).observe(canvas);
  repaints.push(later);
  onSelection(later);
  return { canvas, repaint: later };
}

/** Text with an ellipsis inside where there is no more room: names differ at their ends. */
function fittingText(context, text, x, y, room) {
  if (room < 14) return;
  let shorter = text;
  const { width } = context.measureText(text);
  if (width > room) {
    const kept = Math.max(1, Math.floor((text.length * room) / width) - 2), front = Math.ceil(kept * 0.4);
    shorter = `${text.slice(0, front)}…${kept > front ? text.slice(front - kept) : ""}`;
  }
  context.fillText(shorter, x, y);
}

const tipElement = document.getElementById("tip");

function showTip(event, lines) {
  if (!lines) return hideTip();
  tipElement.textContent = lines.filter((line) => line).join("\n");
  tipElement.hidden = false;
  const { width, height } = tipElement.getBoundingClientRect();
  tipElement.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  tipElement.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}

function hideTip() {
  tipElement.hidden = true;
}

/** Points at things on a canvas: find(x, y) gives null or {program, layer, lines}. */
function pointing(canvas, find) {
  canvas.addEventListener("mousemove", (event) => {
    const found = find(event.offsetX, event.offsetY);
    canvas.style.cursor = found && found.layer !== null ? "pointer" : "default";
    showTip(event, found && found.lines);
  });
  canvas.addEventListener("mouseleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const found = find(event.offsetX, event.offsetY);
    if (found && found.layer !== null) select(found.program, found.layer, canvas);
    else if (!found) clearSelection();
  });
}

/** For d3.zoom: wheel and finger scroll the page; with Ctrl or ⌘ (two fingers on a pad say Ctrl, too) and with two fingers they zoom. */
function byCtrlOrDrag(event) {
  if (event.touches) return event.touches.length > 1;
  return event.type === "wheel" ? event.ctrlKey || event.metaKey : !event.button && !event.ctrlKey;
}

/** For d3.zoom: a notch of a wheel is about half as much again; where a wheel counts lines, the same. */
function wheelDelta(event) {
  return -event.deltaY * (event.deltaMode ? 0.15 : 0.006);
}

/** A line through points. */
function stroke(context, points) {
  context.beginPath();
  points.forEach(([x, y], at) => (at ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function legend(entries) {
  const made = el("div", { class: "legend" });
  for (const [name, text] of entries) {
    const swatch = el("i");
    const paint = () => (swatch.style.background = colour(name));
    repaints.push(paint);
    paint();
    made.append(el("span", {}, swatch, text));
  }
  return made;
}

/** A panel, with the program's name if there are two. */
function panelOf(parent, program) {
  const panel = el("div", { class: "panel" });
  if (PROGRAMS.length > 1) panel.append(el("div", { class: "which" }, `${"AB"[program.index]}: ${program.title}`));
  parent.append(panel);
  return panel;
}

// What tests ask of a page: where layer 3 is in each view, and whether anything is painted.
const probe = {
  /** How many colours a view's canvas has. */
  ink(view) {
    const shapes = document.querySelectorAll(`#${view} svg *`).length;
    if (shapes) return shapes;
    const canvas = document.querySelector(`#${view} canvas`), { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    return new Set(new Uint32Array(data.buffer)).size;
  },
  cycles: (layer) => [PROGRAMS[0].layers[layer].start_cycle, PROGRAMS[0].layers[layer].end_cycle],
  /** How many of the table's rows stay in the document when another layer in it is selected. */
  keptRows(one, other) {
    select(0, one);
    const before = new Set(document.querySelectorAll("#layers tbody tr"));
    select(0, other);
    return [...document.querySelectorAll("#layers tbody tr")].filter((row) => before.has(row)).length;
  },
  /** How many rectangles are filled on canvases because of an action, at the top of the page. */
  async fills(action) {
    scrollTo(0, 0);
    for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
    const { fillRect } = CanvasRenderingContext2D.prototype;
    let count = 0;
    CanvasRenderingContext2D.prototype.fillRect = function (...place) {
      count++;
      return fillRect.apply(this, place);
    };
    action();
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    CanvasRenderingContext2D.prototype.fillRect = fillRect;
    return count;
  },
  async painted() {
    repaintAll();
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  },
  timeline() {
    const { events } = PROGRAMS[0].execution;
    const at = events.layer.findIndex((layer, i) => layer === 3 && events.engine[i] === 1);
    const { clientWidth } = document.querySelector("#timeline canvas");
    const lane = lanesOf(PROGRAMS[0]).find((each) => each.kind === "engine" && each.engine === 1);
    const x = timeScale(clientWidth).x((events.start[at] + events.free[at]) / 2);
    return { x, y: (lane.top + lane.bottom) / 2 };
  },
  memory() {
    const { buffers, contents } = PROGRAMS[0].execution;
    const result = contents.indexOf("result");
    const at = buffers.layer.findIndex((layer, i) => layer === 3 && buffers.what[i] === result);
    const { clientWidth } = document.querySelector("#memory canvas");
    const x = timeScale(clientWidth).x((buffers.start[at] + buffers.end[at]) / 2);
    return { x, y: memoryScale(PROGRAMS[0], 340).y(buffers.address[at] + buffers.size[at] / 2) };
  },
  roofline() {
    const circles = [...document.querySelectorAll("#roofline circle")];
    const circle = circles.find((each) => each.__data__.layer === 3);
    return { x: circle.cx.baseVal.value, y: circle.cy.baseVal.value };
  },
  /** Where a cycle is on a canvas of that view, and a layer of the graph. */
  x: (view, cycle) => timeScale(document.querySelector(`#${view} canvas`).clientWidth).x(cycle),
  /** What is selected is put into the middle. */
  graph() {
    select(0, 3);
    clearSelection();
    return { x: (document.querySelector("#graph canvas").clientWidth - 46) / 2, y: 260 };
  },
};

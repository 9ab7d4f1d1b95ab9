// What the page's scripts find in `d3`.
export { axisBottom, axisLeft } from "d3-axis";
export { rgb } from "d3-color";
export { drag } from "d3-drag";
export { format } from "d3-format";
export { scaleLinear, scaleLog } from "d3-scale";
export { pointer, select } from "d3-selection";
export { zoom, zoomIdentity } from "d3-zoom";

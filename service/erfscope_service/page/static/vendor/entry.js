// What the page uses of Observable Plot and d3; README.md tells how the module is made of it.

export { areaX, areaY, axisX, dot, frame, gridY, legend, line, plot, rect, ruleX } from "@observablehq/plot";
export { blur2 } from "d3-array";
export { contours } from "d3-contour";
export {
  interpolateCividis,
  interpolateInferno,
  interpolateMagma,
  interpolateViridis,
} from "d3-scale-chromatic";

// From a share of the top value to a place on the colour bar: linear, square root, logarithm. Pure.

const DECADES = 5; // fixed, so that one colour means one value in every figure
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

export const SCALES = {
  linear: {
    label: "linear",
    place: (share) => share,
    ticks: [0, 0.2, 0.4, 0.6, 0.8, 1].map((share) => [share, String(share)]),
  },
  sqrt: {
    label: "√",
    place: (share) => Math.sqrt(Math.max(share, 0)),
    ticks: [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1].map((share) => [share, String(share)]),
  },
  log: {
    label: "log",
    place: (share) => (share > 0 ? Math.max(0, 1 + Math.log10(share) / DECADES) : 0),
    ticks: [5, 4, 3, 2, 1, 0].map((power) => [10 ** -power, power ? `10⁻${RAISED[power]}` : "1"]),
  },
};

export const place = (share, scale) => Math.min(1, SCALES[scale].place(share));

// A value of a map for reading: a share of the maximum with three digits, small ones as a power of ten.
export function shareWords(share) {
  if (share === 0) return "0";
  if (share >= 1e-3) return String(Number(share.toPrecision(3)));
  const power = Math.floor(Math.log10(share));
  return `${(share / 10 ** power).toFixed(1)}·10⁻${[...String(-power)].map((digit) => RAISED[digit]).join("")}`;
}

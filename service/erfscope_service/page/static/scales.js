// From a share of the top value to a place on the colour bar: linear, square root, logarithm. Pure.

const DECADES = 5; // fixed, so that one colour means one value in every figure
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const powerWords = (power) => `10⁻${[...String(-power)].map((digit) => RAISED[digit]).join("")}`;
const SQUARES = [0, 0.01, 0.05, 0.2, 0.5, 1];

// `scale` is what the charts take: type, domain, ticks and their words.
export const SCALES = {
  linear: { label: "linear", place: (share) => share, scale: { type: "linear", domain: [0, 1], ticks: 5 } },
  sqrt: {
    label: "√",
    place: (share) => Math.sqrt(Math.max(share, 0)),
    scale: { type: "sqrt", domain: [0, 1], ticks: SQUARES, tickFormat: String },
  },
  log: {
    label: "log",
    place: (share) => (share > 0 ? Math.max(0, 1 + Math.log10(share) / DECADES) : 0),
    scale: {
      type: "log",
      domain: [10 ** -DECADES, 1],
      ticks: [-5, -4, -3, -2, -1, 0].map((power) => 10 ** power),
      tickFormat: (share) => (share === 1 ? "1" : powerWords(Math.round(Math.log10(share)))),
    },
  },
};

export const place = (share, scale) => Math.min(1, SCALES[scale].place(share));

// Colour maps fit for colour-blind eyes, as published anchors interpolated in sRGB. Pure.

const ANCHORS = {
  viridis: "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725",
  cividis: "00204d 00336f 39486b 575c6d 707173 8a8779 a69d75 c4b56c e4cf5b ffea46",
  magma: "000004 1d1147 51127c 822681 b63679 e65164 fb8861 fec287 fcfdbf",
  inferno: "000004 210c4a 56106e 89226a bb3754 e35932 f98c0a f9c932 fcffa4",
  gray: "000000 ffffff",
};

// A colour that none of the map's own comes near: for the TRF box and the centre.
const ACCENTS = { viridis: "#ff7b54", cividis: "#ff7b54", magma: "#5fe0ff", inferno: "#5fe0ff", gray: "#ff9d3c" };

export const NAMES = Object.keys(ANCHORS);
export const accent = (name) => ACCENTS[name];

const made = new Map();

// 256 colours as one Uint8Array of 768 entries.
export function table(name) {
  if (!made.has(name)) made.set(name, interpolated(ANCHORS[name].split(" ")));
  return made.get(name);
}

function interpolated(codes) {
  const anchors = codes.map((code) => [0, 2, 4].map((at) => parseInt(code.slice(at, at + 2), 16)));
  const colours = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(place), anchors.length - 2);
    for (let c = 0; c < 3; c++) {
      colours[3 * i + c] = Math.round(
        anchors[below][c] + (place - below) * (anchors[below + 1][c] - anchors[below][c]),
      );
    }
  }
  return colours;
}

export function css(name, place) {
  const at = 3 * Math.round(255 * Math.min(1, Math.max(0, place)));
  return `rgb(${table(name)
    .slice(at, at + 3)
    .join(" ")})`;
}

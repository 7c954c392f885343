// NumPy's file format, as far as maps use it: version 1 to 3, little-endian floats, C order. Pure.

const MAGIC = [0x93, ...new TextEncoder().encode("NUMPY")];
const KINDS = { "<f4": Float32Array, "<f8": Float64Array };

// { shape, values } of a file's bytes; throws a RangeError that says what is wrong.
export function parse(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || MAGIC.some((byte, i) => view.getUint8(i) !== byte)) {
    throw new RangeError("The array is not in NumPy's format.");
  }
  const isOld = view.getUint8(6) === 1;
  const start = isOld ? 10 : 12;
  const length = isOld ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = new TextDecoder().decode(new Uint8Array(buffer, start, length));
  const kind = KINDS[header.match(/'descr':\s*'([^']+)'/)?.[1]];
  const shape = header
    .match(/'shape':\s*\(([^)]*)\)/)?.[1]
    .split(",")
    .filter((part) => part.trim())
    .map(Number);
  if (!kind || !shape || /'fortran_order':\s*True/.test(header))
    throw new RangeError(`Unexpected array: ${header.trim()}`);
  const count = shape.reduce((product, extent) => product * extent, 1);
  const values = new kind(buffer.slice(start + length, start + length + count * kind.BYTES_PER_ELEMENT));
  if (values.length !== count) throw new RangeError("The array is cut short.");
  return { shape, values };
}

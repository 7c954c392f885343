// The files that an ONNX file names for its weights, read off its bytes: what must come with it. Pure.

// Message → field number → message, on the way to tensors (onnx.proto).
const WITHIN = {
  model: { 7: "graph", 25: "function" },
  graph: { 1: "node", 5: "tensor" },
  function: { 7: "node", 11: "attribute" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph" },
};
const [EXTERNAL_DATA, DATA_LOCATION, OUTSIDE] = [13, 14, 1];
const FIXED = { 1: 8, 5: 4 }; // bytes by wire type
const MOST_FIELDS = 3_000_000;

// Each name once; none for what is no ONNX file, which the service then says.
export function namesIn(bytes) {
  const names = new Set();
  const pending = [["model", 0, bytes.length]];
  let count = 0;
  try {
    while (pending.length && count < MOST_FIELDS) {
      const [message, start, end] = pending.pop();
      for (const { number, content, stop } of fields(bytes, start, end)) {
        count += 1;
        const kind = content === null ? undefined : WITHIN[message][number];
        if (kind === "tensor") add(names, bytes, content, stop);
        else if (kind) pending.push([kind, content, stop]);
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [];
  }
  return [...names];
}

function add(names, bytes, start, end) {
  let outside = false;
  let name = null;
  for (const { number, content, stop, value } of fields(bytes, start, end)) {
    if (number === DATA_LOCATION) outside = value === OUTSIDE;
    if (number !== EXTERNAL_DATA || content === null) continue;
    const [key, text] = entry(bytes, content, stop);
    if (key === "location") name = text;
  }
  if (outside && name !== null) names.add(name);
}

function entry(bytes, start, end) {
  const found = ["", ""];
  for (const { number, content, stop } of fields(bytes, start, end))
    if (content !== null) found[number - 1] = new TextDecoder().decode(bytes.subarray(content, stop));
  return found;
}

// Number, value or begin of the content, and end of every field; RangeError for what is no protocol buffer.
function* fields(bytes, start, end) {
  for (let at = start; at < end; ) {
    const [key, after] = varint(bytes, at, end);
    const wire = key % 8;
    const [first, next] = wire === 0 || wire === 2 ? varint(bytes, after, end) : [FIXED[wire], after];
    if (first === undefined) throw new RangeError(`wire type ${wire}`);
    const stop = wire === 0 ? next : next + first;
    if (stop > end || key < 8) throw new RangeError("cut short");
    yield { number: Math.floor(key / 8), content: wire === 2 ? next : null, value: wire === 0 ? first : null, stop };
    at = stop;
  }
}

function varint(bytes, at, end) {
  let value = 0;
  for (let scale = 1; at < end && scale < 2 ** 70; scale *= 128) {
    const byte = bytes[at++];
    value += (byte % 128) * scale;
    if (byte < 128) return [value, at];
  }
  throw new RangeError("cut short");
}

// Which of the files each name means, by { path, file }: paths are relative to the model's folder. Null where none is.
export function matched(names, files) {
  const last = (name) => name.slice(name.lastIndexOf("/") + 1);
  return new Map(
    names.map((name) => {
      const plain = name.replace(/^(\.\/)+/, "");
      const alone = names.filter((other) => last(other) === last(name)).length === 1;
      const exact = files.find(({ path }) => path === plain);
      return [name, exact ?? files.find(({ path }) => alone && path === last(name)) ?? null];
    }),
  );
}

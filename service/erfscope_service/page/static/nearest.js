// The names that are most like a typed one. Pure.

const MOST = 3;

// At most three names of layers ({ name, operator? }): those whose name or operator has the most pairs of letters in
// common with what was typed; of equal ones those nearest to the output.
export function nearest(typed, layers) {
  const pairs = pairsOf(typed);
  const likeness = (words) => {
    const theirs = pairsOf(words);
    const common = [...pairs].filter((pair) => theirs.has(pair)).length;
    return (2 * common) / (pairs.size + theirs.size || 1);
  };
  return [...layers]
    .reverse()
    .map(({ name, operator = "" }) => ({ name, alike: Math.max(likeness(name), 0.9 * likeness(operator)) }))
    .sort((one, other) => other.alike - one.alike)
    .slice(0, MOST)
    .map(({ name }) => name);
}

const pairsOf = (name) => new Set([...` ${name.toLowerCase()}`].map((letter, i, all) => (all[i - 1] ?? "") + letter));

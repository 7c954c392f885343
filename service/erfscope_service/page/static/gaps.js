// Whether a map has gaps, by the rule of the service's own note on it. Pure.

export const GRIDDED = 0.1; // score from which a map has plain holes
const REPEATS = 1; // of the lattice within one standard deviation: a small map has a high score by chance

export function hasGaps({ shape: { lattice, lattice_frequency: frequencies }, gaussian: { sigma_axis: sigmas } }) {
  if (lattice === null || lattice <= GRIDDED) return false;
  return (frequencies ?? []).some((frequency, axis) => (sigmas?.[axis] ?? 0) * frequency >= REPEATS);
}

/** Chance that is the same for the same seed, on every machine. Pure. */

/** A number from 0 (inclusive) to 1 (exclusive) that whole numbers decide. */
export function chance(seed: number, ...parts: readonly number[]): number {
  let hash = mixed(seed >>> 0);
  for (const part of parts) hash = mixed((hash ^ (part >>> 0)) + 0x9e37_79b9);
  return hash / 2 ** 32;
}

function mixed(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0_aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a_2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}

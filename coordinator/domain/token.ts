/**
 * The lease's fence: (epoch, counter), never used twice. Packed into one safe integer so that a unit
 * table can hold a million of them in a typed array; a later token of the same farm is always larger.
 */
declare const tokenBrand: unique symbol;
export type Token = number & { readonly [tokenBrand]: true };

const COUNTERS_PER_EPOCH = 2 ** 34;
/** 2^53 / 2^34, less one. */
export const MAX_EPOCH = 2 ** 19 - 1;
export const MAX_COUNTER = COUNTERS_PER_EPOCH - 1;

/**
 * Each reign numbers its grants above all that the reigns before can have sent to a session: what they
 * sent is not known, and a number that stood for two grants would make one's absence pass for the other's.
 */
const GRANTS_PER_EPOCH = 2 ** 32;

/** The number of a session's next grant. `last` is the highest that is known of. */
export function grantNumberAfter(last: number, epoch: number): number {
  return Math.max(last, (epoch - 1) * GRANTS_PER_EPOCH) + 1;
}

/** Tells a token that was never granted: counters start at 1, epochs too. */
export const NO_TOKEN = 0 as Token;

export function tokenOf(epoch: number, counter: number): Token {
  return (epoch * COUNTERS_PER_EPOCH + counter) as Token;
}

export function epochOf(token: Token): number {
  return Math.floor(token / COUNTERS_PER_EPOCH);
}

export function counterOf(token: Token): number {
  return token % COUNTERS_PER_EPOCH;
}

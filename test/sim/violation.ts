/** A promise that was broken, in words that are the same in every run of the seed. */

/** The kinds of promise that can be broken. */
export type ViolationKind =
  | 'farm-inconsistent'
  | 'overbooked'
  | 'fold-differs'
  | 'two-leaders'
  | 'token-twice'
  | 'accepted-twice'
  | 'stale-accepted'
  | 'accepted-without-result'
  | 'run-twice'
  | 'said-before-commit'
  | 'destroyed-without-proof'
  | 'freed-while-held'
  | 'expired-in-grace'
  | 'expired-while-renewed'
  | 'stalled-while-moving'
  | 'locked-out'
  | 'granted-against-orders'
  | 'copied-wrongly'
  | 'decided-beside-copy'
  | 'created-twice'
  | 'blob-swept'
  | 'blob-missing'
  | 'cannot-start'
  | 'acknowledged-lost'
  | 'leaked'
  | 'never-ended'
  | 'overlooked'
  | 'archived-unstored'
  | 'crashed';

export class Violation extends Error {
  readonly kind: ViolationKind;

  constructor(kind: ViolationKind, message: string) {
    super(`${kind}: ${message}`);
    this.kind = kind;
  }
}

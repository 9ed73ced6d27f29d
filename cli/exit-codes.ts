/** What the process answers to the shell. The numbers are part of the interface: scripts test them. */
import type { ErrorCode } from '../kit/furrow-error.ts';

export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  unreachable: 3,
  jobFailed: 4,
  jobCancelled: 5,
  notFound: 6,
  refused: 7,
  interrupted: 130,
} as const;

/** Every error's exit code. */
export const EXIT_OF_ERROR: Readonly<Record<ErrorCode, number>> = {
  invalid: EXIT.usage,
  'not-found': EXIT.notFound,
  conflict: EXIT.refused,
  'failed-precondition': EXIT.refused,
  exhausted: EXIT.refused,
  unauthenticated: EXIT.refused,
  forbidden: EXIT.refused,
  unavailable: EXIT.unreachable,
  'timed-out': EXIT.unreachable,
  aborted: EXIT.interrupted,
  'data-loss': EXIT.internal,
  internal: EXIT.internal,
};

/** As the CLI's: 2 bad usage, 3 farm unreachable, 7 refused. */
import { FurrowError, type ErrorCode } from '../kit/furrow-error.ts';

const EXIT_CODES: Partial<Record<ErrorCode, number>> = {
  invalid: 2,
  unavailable: 3,
  'timed-out': 3,
  'not-found': 7,
  conflict: 7,
  'failed-precondition': 7,
  unauthenticated: 7,
  forbidden: 7,
};

export function exitCodeOf(error: unknown): number {
  return error instanceof FurrowError ? (EXIT_CODES[error.code] ?? 1) : 1;
}

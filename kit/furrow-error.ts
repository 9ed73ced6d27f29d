/**
 * The one error that crosses module borders. `code` decides the gRPC status and the exit code (one
 * table each, in coordinator/grpc and cli); `reason` is stable and meant for programs; `message` is
 * one line for people that names the thing and the remedy.
 */
export type ErrorCode =
  | 'invalid' // the request cannot be right: mend it
  | 'not-found'
  | 'conflict' // exists already, with other content
  | 'failed-precondition' // not in this state
  | 'exhausted' // disk or quota is full
  | 'unauthenticated'
  | 'forbidden'
  | 'unavailable' // try again later
  | 'timed-out'
  | 'aborted' // by the user or by shutdown
  | 'data-loss' // stored bytes are not what they should be
  | 'internal';

const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['unavailable', 'timed-out']);

/** Reason of the one refusal for lack of room that passes within a second. */
export const TOO_MANY_REQUESTS = 'TOO_MANY_REQUESTS';

/** For programs, beside `reason`: such as the address to ask instead. */
export type ErrorDetails = Readonly<Record<string, string>>;

export class FurrowError extends Error {
  override readonly name = 'FurrowError';
  readonly code: ErrorCode;
  /** Upper snake case, such as CLIENT_ID_REUSED. */
  readonly reason: string;
  readonly retryable: boolean;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    reason: string,
    message: string,
    { details = {}, ...options }: { cause?: unknown; details?: ErrorDetails } = {},
  ) {
    super(message, options);
    this.code = code;
    this.reason = reason;
    this.retryable = RETRYABLE.has(code) || reason === TOO_MANY_REQUESTS;
    this.details = details;
  }
}

/** One line of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.replace(/\s+/g, ' ').trim();
}

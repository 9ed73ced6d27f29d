/** What it means to a coordinator that NATS did not do what it was asked. */
import { NatsError } from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';

/** Server errors that pass: a cluster that looks for a leader, a store that is still being read. */
const FIRST_PASSING_CODE = 500;

/**
 * FurrowError: unavailable JOURNAL_UNREACHABLE for what passes; failed-precondition NATS_REFUSES for
 * what does not. Anything that NATS did not throw comes back as it is.
 */
export function natsTrouble(error: unknown): unknown {
  if (!(error instanceof NatsError)) return error;
  const code = error.api_error?.code;
  if (code !== undefined && code < FIRST_PASSING_CODE) {
    const message = `NATS refuses what the farm needs (${messageOf(error)}): give Furrow a NATS account of its own`;
    return new FurrowError('failed-precondition', 'NATS_REFUSES', message, { cause: error });
  }
  const message = `JetStream does not answer (${messageOf(error)}): is it enabled on the server, and has its cluster a leader?`;
  return new FurrowError('unavailable', 'JOURNAL_UNREACHABLE', message, { cause: error });
}

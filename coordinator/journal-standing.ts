/** How the journal stands, and what those are told who ask while it cannot be written. */
import { FurrowError } from '../kit/furrow-error.ts';

/**
 * How the journal stands, and since when by the monotonic clock. `in-doubt`: an append is without an answer
 * for over a second.
 */
export type JournalStanding =
  | { readonly state: 'ok' }
  | { readonly state: 'in-doubt'; readonly sinceMs: number }
  | { readonly state: 'refusing'; readonly sinceMs: number; readonly message: string };

export function steppedDown(): FurrowError {
  return new FurrowError(
    'unavailable',
    'STEPPED_DOWN',
    'this coordinator no longer leads the farm',
  );
}

export function journalUnreachable(standing: JournalStanding): FurrowError {
  return new FurrowError(
    'unavailable',
    'JOURNAL_UNREACHABLE',
    `the journal cannot be written (${whyUnreachable(standing)}): try again in a while`,
  );
}

export function answerInDoubt(standing: JournalStanding): FurrowError {
  return new FurrowError(
    'unavailable',
    'JOURNAL_UNREACHABLE',
    `the journal cannot be written (${whyUnreachable(standing)}), and this may be taken yet: ask the same again in a while`,
  );
}

function whyUnreachable(standing: JournalStanding): string {
  return standing.state === 'refusing' ? standing.message : 'NATS does not answer';
}

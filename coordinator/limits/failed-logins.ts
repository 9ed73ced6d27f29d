/**
 * Tries with a wrong token, or with none, by the address they came from. After the first few the refusals of
 * an address come later and later; who asks many at once is refused at once with another answer. A right
 * token is never slowed: only refusals pass through here. What is kept and what waits is bounded.
 */
import type { Clock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';

/** Somebody mistyped, or a script was not told yet. */
const FREE_TRIES = 5;
const FIRST_PAUSE_MS = 250;
const FORGIVEN_AFTER_MS = 10 * 60_000;
const MOST_ADDRESSES = 10_000;
const MOST_WAITING = 512;
const MOST_WAITING_OF_ONE = 16;
const LOG_EVERY_MS = 60_000;
/** Of one minute. */
const MOST_LINES = 10;

interface Record {
  failures: number;
  lastMs: number;
  waiting: number;
  /** Since the last line about this address. */
  untold: number;
}

export interface FailedLoginsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly longestPauseMs: number;
}

export class FailedLogins {
  readonly #options: FailedLoginsOptions;
  /** The one that failed last is the last. */
  readonly #records = new Map<string, Record>();
  #waiting = 0;
  #isSummaryDue = false;
  #linesLeft = MOST_LINES;

  constructor(options: FailedLoginsOptions) {
    this.#options = options;
  }

  /** Settles when `refusal` may be said, with it or with what to say instead. */
  failed(address: string, refusal: FurrowError): Promise<FurrowError> {
    const { clock, longestPauseMs } = this.#options;
    const record = this.#note(address);
    const pauseMs = Math.min(longestPauseMs, pauseAfter(record.failures));
    if (pauseMs === 0) return Promise.resolve(refusal);
    if (record.waiting >= MOST_WAITING_OF_ONE || this.#waiting >= MOST_WAITING) {
      return Promise.resolve(tooMany());
    }
    record.waiting += 1;
    this.#waiting += 1;
    return new Promise((resolve) => {
      clock.after(pauseMs, () => {
        record.waiting -= 1;
        this.#waiting -= 1;
        resolve(refusal);
      });
    });
  }

  #note(address: string): Record {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#records.get(address);
    const isFresh = known !== undefined && nowMs - known.lastMs < FORGIVEN_AFTER_MS;
    const record = isFresh ? known : { failures: 0, lastMs: nowMs, waiting: 0, untold: 0 };
    record.failures += 1;
    record.untold += 1;
    record.lastMs = nowMs;
    this.#records.delete(address);
    this.#records.set(address, record);
    if (this.#records.size > MOST_ADDRESSES) this.#forgetOldest();
    this.#tell(address, record);
    return record;
  }

  #forgetOldest(): void {
    const [oldest] = this.#records.keys();
    if (oldest !== undefined) this.#records.delete(oldest);
  }

  /** The first of an address at once, further ones together once a minute, of few addresses. */
  #tell(address: string, record: Record): void {
    if (record.failures === 1) this.#line(address, record);
    if (this.#isSummaryDue) return;
    this.#isSummaryDue = true;
    this.#options.clock.after(LOG_EVERY_MS, () => this.#summarise());
  }

  #summarise(): void {
    this.#isSummaryDue = false;
    this.#linesLeft = MOST_LINES;
    const open = [...this.#records].filter(([, { untold }]) => untold > 0);
    open.sort(([, a], [, b]) => b.untold - a.untold);
    const shown = open.slice(0, MOST_LINES);
    const others = open.slice(MOST_LINES);
    for (const [address, record] of shown) this.#line(address, record);
    this.#linesLeft = MOST_LINES;
    if (others.length === 0) return;
    const failures = others.reduce((sum, [, { untold }]) => sum + untold, 0);
    for (const [, record] of others) record.untold = 0;
    this.#options.log.warn({ addresses: others.length, failures }, 'failed logins of others');
  }

  #line(address: string, record: Record): void {
    if (this.#linesLeft <= 0) return;
    this.#linesLeft -= 1;
    const { untold: failures, failures: inAll } = record;
    record.untold = 0;
    this.#options.log.warn({ address, failures, inAll }, 'failed logins');
  }
}

function pauseAfter(failures: number): number {
  if (failures <= FREE_TRIES) return 0;
  // Beyond some power of two it is the longest anyway, and a number stays a number.
  const doublings = Math.min(20, failures - FREE_TRIES - 1);
  return FIRST_PAUSE_MS * 2 ** doublings;
}

function tooMany(): FurrowError {
  const message =
    'too many failed logins from this address at once: check the token, then try again';
  return new FurrowError('exhausted', 'TOO_MANY_FAILED_LOGINS', message);
}

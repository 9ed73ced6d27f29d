/**
 * How many requests an address may make: a bucket of tokens for each, filled at a steady rate. It is far
 * above what any honest client does, and keeps one that runs wild from taking the coordinator's whole time.
 */
import { TOO_MANY_REQUESTS, FurrowError } from '../../kit/furrow-error.ts';

export interface RequestRateOptions {
  readonly perSecond: number;
  readonly monotonicMs: () => number;
}

interface Bucket {
  tokens: number;
  lastMs: number;
}

/** So much may come at once. */
const BURST_S = 2;
const MOST_ADDRESSES = 20_000;

export class RequestRate {
  readonly #options: RequestRateOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: RequestRateOptions) {
    this.#options = options;
  }

  /** False: this one is too many. */
  take(address: string): boolean {
    const { perSecond, monotonicMs } = this.#options;
    const burst = perSecond * BURST_S;
    const nowMs = monotonicMs();
    const bucket = this.#buckets.get(address) ?? this.#newBucket(address, burst, nowMs);
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.lastMs) / 1000) * perSecond);
    bucket.lastMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #newBucket(address: string, tokens: number, lastMs: number): Bucket {
    if (this.#buckets.size >= MOST_ADDRESSES) this.#forgetFull(lastMs);
    const bucket = { tokens, lastMs };
    this.#buckets.set(address, bucket);
    return bucket;
  }

  /** Whoever asked nothing for as long as a burst takes to fill has a full bucket, and needs no record. */
  #forgetFull(nowMs: number): void {
    for (const [address, { lastMs }] of this.#buckets) {
      if (nowMs - lastMs > BURST_S * 1000) this.#buckets.delete(address);
    }
    if (this.#buckets.size >= MOST_ADDRESSES) this.#buckets.clear();
  }
}

export function tooManyRequests(): FurrowError {
  const message = 'too many requests from this address: wait a second, and send fewer at once';
  return new FurrowError('exhausted', TOO_MANY_REQUESTS, message);
}

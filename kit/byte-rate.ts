/**
 * A limit on bytes a second that several transfers share, up and down together: a bucket of tokens. Each
 * transfer takes small pieces in turn, so that none of them looks dead to the other end while it waits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Transform, type TransformCallback } from 'node:stream';

/** A piece at the least rate that is allowed takes a quarter of a second. */
const PIECE_BYTES = 16 * 1024;
/** What was not used is given later, up to so much time: timers are not exact. */
const BURST_MS = 100;

export class ByteRate {
  #bytesPerSecond = 0;
  /** When all that was taken so far is paid for, on the monotonic clock. */
  #paidAtMs = 0;

  /** 0 for no limit. What waits already still waits, a piece long. */
  limit(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Settles when so many bytes may go. Those who ask first go first. */
  async take(bytes: number): Promise<void> {
    if (this.#bytesPerSecond === 0) return;
    const nowMs = performance.now();
    const startMs = Math.max(this.#paidAtMs, nowMs - BURST_MS);
    this.#paidAtMs = startMs + (bytes / this.#bytesPerSecond) * 1000;
    const waitMs = this.#paidAtMs - nowMs;
    if (waitMs > 0) await sleep(waitMs);
  }

  /** A stream that passes bytes on at this rate. */
  stream(): Transform {
    const pass = async (
      stream: Transform,
      chunk: Buffer,
      done: TransformCallback,
    ): Promise<void> => {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        await this.take(piece.length);
        if (stream.destroyed) break;
        stream.push(piece);
      }
      done();
    };
    const isLimited = (): boolean => this.#bytesPerSecond > 0;
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (isLimited()) void pass(this, chunk, done);
        else done(null, chunk);
      },
    });
  }
}

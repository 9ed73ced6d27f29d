/**
 * The two named pipes that frames take. Reading and writing wait for the other end and stop everything else
 * in this process, which has nothing else to do: the kernel's pipe is all that lies between ffmpeg and the
 * model, so that neither runs ahead.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { PIPE_IN, PIPE_OUT } from '../model-work.ts';
import { WorkFailure } from './work-failure.ts';

export class FramePipes {
  #in: number | undefined;
  #out: number | undefined;

  /** Fills `frame`. False when nothing more comes; WorkFailure when it ends within a frame. */
  read(frame: Uint8Array): boolean {
    this.#in ??= openSync(PIPE_IN, 'r');
    let length = 0;
    while (length < frame.length) {
      const count = readSync(this.#in, frame, length, frame.length - length, null);
      if (count === 0) break;
      length += count;
    }
    if (length === 0) return false;
    if (length === frame.length) return true;
    throw new WorkFailure('failed', 'the frames ended in the middle of one', 'feed');
  }

  /** Writes all of it. WorkFailure when nobody takes it any more. */
  write(bytes: Uint8Array): void {
    this.#out ??= openSync(PIPE_OUT, 'w');
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#out, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
      throw new WorkFailure('failed', 'what takes the frames has ended', 'drain');
    }
  }

  /** The one who reads sees the end; the one who writes is told to stop. */
  close(): void {
    for (const file of [this.#in, this.#out]) if (file !== undefined) closeSync(file);
    this.#in = undefined;
    this.#out = undefined;
  }
}

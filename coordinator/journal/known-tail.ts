/**
 * What this coordinator knows of the journal's end, kept beside the store: a store restored from an
 * older copy must not pass for the real one, for its tokens would be granted twice. The file may lag
 * behind the journal by a second; it is never ahead of it.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Tail } from './chain.ts';
import type { StoredCommit } from './commit-codec.ts';

const WRITE_EVERY_MS = 1_000;

const knownTailSchema = z.object({
  farmId: z.string().min(1),
  epoch: z.int().nonnegative(),
  sequence: z.int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});

export type KnownTail = Readonly<z.infer<typeof knownTailSchema>>;

/**
 * Undefined when there is none. One that cannot be read is said loudly and taken for none: it guards
 * against a rare mistake and must not stop a healthy farm.
 */
export async function readKnownTail(path: string, log: Logger): Promise<KnownTail | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FurrowError('internal', 'IDENTITY_UNREADABLE', messageOf(error), { cause: error });
  }
  try {
    return knownTailSchema.parse(JSON.parse(text));
  } catch (error) {
    log.error(
      { path, error: messageOf(error) },
      'identity file is damaged: cannot tell whether the store is an older copy',
    );
    return undefined;
  }
}

/** FurrowError: data-loss STORE_RESTORED when the commit is not the one that we have seen there. */
export function checkKnownCommit(known: KnownTail, commit: StoredCommit): void {
  if (commit.farmId !== known.farmId) {
    throw restored(
      `the journal is of farm ${commit.farmId}, this coordinator's is ${known.farmId}`,
    );
  }
  if (commit.sequence === known.sequence) checkKnownHash(known, commit.hash);
}

/** FurrowError: data-loss STORE_RESTORED when this is not the hash of the commit seen there. */
export function checkKnownHash(known: KnownTail, hash: string): void {
  if (hash === known.hash) return;
  throw restored(`sequence ${known.sequence} of the journal is not the commit seen there before`);
}

/** FurrowError: data-loss STORE_RESTORED when the journal ends before what we have seen. */
export function checkKnownEnd(known: KnownTail, lastSequence: number): void {
  if (lastSequence >= known.sequence) return;
  throw restored(
    `the journal ends at sequence ${lastSequence}, but this coordinator has seen ${known.sequence} of farm ${known.farmId}`,
  );
}

function restored(what: string): FurrowError {
  const message = `${what}: the NATS store is an older copy or another farm's; put the right store back, or give up what it lacks with --accept-restored-store`;
  return new FurrowError('data-loss', 'STORE_RESTORED', message);
}

/** Writes the newest tail at most once a second, and at `close`. */
export class KnownTailFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #latest: Tail | undefined;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** A tail that is committed. */
  note(tail: Tail): void {
    this.#latest = tail;
    this.#cancelTimer ??= this.#clock.after(WRITE_EVERY_MS, () => {
      this.#cancelTimer = undefined;
      void this.#write();
    });
  }

  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    await this.#write();
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const tail = this.#latest;
      if (tail?.farmId === undefined) return;
      this.#latest = undefined;
      const { farmId, epoch, sequence, hash } = tail;
      try {
        await replaceFile(this.#path, `${JSON.stringify({ farmId, epoch, sequence, hash })}\n`);
      } catch (error) {
        this.#log.warn({ path: this.#path, error: messageOf(error) }, 'cannot write identity file');
      }
    });
    return this.#writing;
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    // Without it a power cut may leave an empty file under the right name.
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

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
import type { Farm } from '../domain/farm.ts';
import { type Place, placeOf, reignAt } from '../domain/lineage.ts';
import type { Tail } from './chain.ts';

const WRITE_EVERY_MS = 1_000;

const knownTailSchema = z.object({
  farmId: z.string().min(1),
  epoch: z.int().nonnegative(),
  /** Of the reign that wrote it; empty in files of versions that did not know of it. */
  reignId: z.string().default(''),
  sequence: z.int().positive(),
  /** Absent when it was not seen by this coordinator itself. */
  hash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** Who has seen it, if it was not this coordinator: `agent box-2`. */
  seenBy: z.string().optional(),
});

/** A commit that was on disk. */
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

export type FarmLineage = Pick<Farm, 'farmId' | 'epoch' | 'reigns'>;

/** What the journal at hand is, as far as it was read. */
export interface JournalAtHand {
  readonly farm: FarmLineage;
  readonly lastSequence: number;
  /** Hash of the commit at the known sequence; undefined where it is no longer kept. */
  readonly hashThere: string | undefined;
}

/** `absent` comes with the FurrowError that says so: data-loss STORE_RESTORED. */
export type Comparison =
  | { readonly place: Exclude<Place, 'absent'> }
  | { readonly place: 'absent'; readonly error: FurrowError };

/** Whether what is known is in the journal at hand. */
export function compareKnown(known: KnownTail, { farm, ...journal }: JournalAtHand): Comparison {
  const { sequence, epoch, seenBy = 'this coordinator' } = known;
  if (farm.farmId !== known.farmId) {
    const found = farm.farmId === '' ? 'the journal is empty' : `it is of farm ${farm.farmId}`;
    return absent(`${seenBy} has seen farm ${known.farmId}, but ${found}`);
  }
  const place = placeOf(farm, journal.lastSequence, known);
  if (place === 'given-up') return { place };
  const what = `${seenBy} has seen sequence ${sequence} of the journal, of epoch ${epoch}`;
  if (journal.lastSequence < sequence) {
    return absent(`${what}, but it ends at ${journal.lastSequence}`);
  }
  if (place === 'absent') {
    const there = reignAt(farm.reigns, sequence)?.epoch ?? farm.epoch;
    const another = there === epoch ? 'another reign of the same number' : `epoch ${there}`;
    return absent(`${what}, but ${another} wrote that: it was continued from an older copy`);
  }
  if (known.hash !== undefined && (journal.hashThere ?? known.hash) !== known.hash) {
    return absent(`${what}, but another commit stands there`);
  }
  return { place };
}

function absent(what: string): Comparison {
  const message = `${what}. The NATS store is an older copy or another farm's: put the newer store back; or, to give up what this one lacks, start the coordinator once with --accept-restored-store`;
  const error = new FurrowError('data-loss', 'STORE_RESTORED', message);
  return { place: 'absent', error };
}

/** Writes the newest tail at most once a second, and at `close`. What was seen elsewhere is the last word. */
export class KnownTailFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #latest: KnownTail | undefined;
  #isSettled = false;
  #cancelTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** A tail that is committed. */
  note({ farmId, epoch, reignId, sequence, hash }: Tail): void {
    if (this.#isSettled || farmId === undefined) return;
    this.#latest = { farmId, epoch, reignId, sequence, hash };
    this.#cancelTimer ??= this.#clock.after(WRITE_EVERY_MS, () => {
      this.#cancelTimer = undefined;
      void this.#write();
    });
  }

  /** The next start must find this, whatever is committed until then. */
  async settle(known: KnownTail): Promise<void> {
    this.#isSettled = true;
    this.#latest = known;
    await this.#write();
  }

  async close(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    await this.#write();
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const known = this.#latest;
      if (known === undefined) return;
      this.#latest = undefined;
      try {
        await replaceFile(this.#path, `${JSON.stringify(known)}\n`);
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

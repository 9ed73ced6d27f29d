/**
 * What this agent has seen of its farm's journal, kept over restarts: no coordinator of an earlier epoch
 * is obeyed, and one whose NATS store was restored from an older copy learns of it.
 */
import { z } from 'zod';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { JournalPlace } from '../proto/gen/furrow/v1/agent_service.ts';
import type { StateFile } from './state-file.ts';

const seenSchema = z.object({
  farmId: z.string().min(1),
  /** May be above the place's: grants and verdicts say their epoch too, and not what it wrote. */
  highestEpoch: z.int().nonnegative(),
  place: z
    .object({ epoch: z.int().positive(), reignId: z.string(), sequence: z.int().positive() })
    .optional(),
});

/** Of the farm that was served last. */
type Seen = Readonly<z.infer<typeof seenSchema>>;

/** A new reign is written at once; how far it has come, only now and then. */
const WRITE_EVERY_MS = 10_000;

export const FARM_SEEN_FILE = 'farm-seen.json';

export class FarmSeen {
  readonly #file: StateFile;
  readonly #log: Logger;
  readonly #monotonicMs: () => number;
  #seen: Seen | undefined;
  #isWritten = true;
  #writtenAtMs = -Infinity;

  constructor(file: StateFile, log: Logger, monotonicMs: () => number) {
    this.#file = file;
    this.#log = log;
    this.#monotonicMs = monotonicMs;
    this.#seen = this.#read();
  }

  /** Undefined before the first farm said where it is. */
  get place(): JournalPlace | undefined {
    const place = this.#seen?.place;
    return place === undefined ? undefined : { farmId: this.#seen?.farmId ?? '', ...place };
  }

  /** 0 when this farm was never served, or another one since. */
  highestEpochOf(farmId: string): number {
    return this.#seen?.farmId === farmId ? this.#seen.highestEpoch : 0;
  }

  /** On disk when it returns, unless it was known. */
  noteEpoch(farmId: string, epoch: number): void {
    if (epoch <= this.highestEpochOf(farmId)) return;
    const place = this.#seen?.farmId === farmId ? this.#seen.place : undefined;
    this.#take({ farmId, highestEpoch: epoch, place });
    this.write();
  }

  /** What a coordinator says that this agent obeys. */
  note(place: JournalPlace | undefined): void {
    if (place === undefined || place.farmId === '') return;
    const { farmId, epoch, reignId, sequence } = place;
    if (epoch < this.highestEpochOf(farmId)) return;
    const before = this.place;
    this.#take({ farmId, highestEpoch: epoch, place: { epoch, reignId, sequence } });
    const isSameReign = before?.farmId === farmId && before.reignId === reignId;
    const isDue = this.#monotonicMs() - this.#writtenAtMs >= WRITE_EVERY_MS;
    if (!isSameReign || isDue) this.write();
  }

  #take(seen: Seen): void {
    this.#seen = seen;
    this.#isWritten = false;
  }

  /** Writes what is not written yet. */
  write(): void {
    if (this.#isWritten) return;
    try {
      this.#file.replace(`${JSON.stringify(this.#seen)}\n`);
      this.#isWritten = true;
      this.#writtenAtMs = this.#monotonicMs();
    } catch (error) {
      this.#log.warn(
        { path: this.#file.path, error: messageOf(error) },
        'cannot write what was seen',
      );
    }
  }

  #read(): Seen | undefined {
    const { path } = this.#file;
    try {
      const text = this.#file.read();
      return text === undefined ? undefined : seenSchema.parse(JSON.parse(text));
    } catch (error) {
      // It guards against a rare mistake and must not stop a healthy agent.
      this.#log.error({ path, error: messageOf(error) }, 'file is damaged');
      return undefined;
    }
  }
}

/**
 * The blob store: one disk, which is the newest leader's (who was overtaken has lost it), and for each
 * coordinator the pins it keeps in memory. Here is what the real store does with names; bytes have none.
 */
import { PIN_MS, Pins } from '../../coordinator/blobs/pins.ts';
import type { Referenced } from '../../coordinator/ports.ts';
import type { Prng } from './prng.ts';
import type { SimProcess } from './sim-process.ts';

export class BlobDisk {
  readonly names = new Set<string>();
  /** Longest time that a change takes. */
  mostDiskMs = 0;
  owner: SimProcess | undefined;
}

export interface SimBlobStoreOptions {
  readonly disk: BlobDisk;
  readonly process: SimProcess;
  readonly prng: Prng;
  /** Called in the moment in which a blob goes. `wasPromised`: within the hour it was said to be here. */
  readonly onDeleted: (sha256: string, wasPromised: boolean) => void;
}

export class SimBlobStore {
  readonly #options: SimBlobStoreOptions;
  readonly #pins: Pins;
  #reignMs: number;
  /** When it was said of a blob that it is here; kept apart from the pins, which may be wrong. */
  readonly #promisedMs = new Map<string, number>();

  constructor(options: SimBlobStoreOptions) {
    this.#options = options;
    this.#pins = new Pins(options.process.clock);
    this.#reignMs = options.process.clock.monotonicMs();
  }

  has(sha256: string): boolean {
    return this.#options.disk.names.has(sha256);
  }

  /** This process leads from now on: the disk is its own. */
  beginReign(): void {
    this.#options.disk.owner = this.#options.process;
    this.#reignMs = this.#options.process.clock.monotonicMs();
  }

  findMissing(hashes: readonly string[]): Promise<string[]> {
    const missing = hashes.filter((sha256) => {
      if (!this.has(sha256)) return true;
      this.#pins.pin(sha256, 'asked');
      this.#promisedMs.set(sha256, this.#options.process.clock.monotonicMs());
      return false;
    });
    return Promise.resolve(missing);
  }

  lookForMissing(hashes: readonly string[]): Promise<string[]> {
    return Promise.resolve(hashes.filter((sha256) => !this.has(sha256)));
  }

  /** An upload has ended; calls back when the blob is on disk. */
  receive(sha256: string, purpose: 'result' | 'asked', stored: () => void): void {
    this.#later(() => {
      if (!this.#isOurs) return;
      this.#options.disk.names.add(sha256);
      this.#pins.pin(sha256, purpose);
      stored();
    });
  }

  async sweep(referenced: Referenced): Promise<number> {
    this.#pins.dropExpired();
    const { disk, process } = this.#options;
    if (process.clock.monotonicMs() - this.#reignMs < PIN_MS) return 0;
    const unused = (sha256: string): boolean =>
      !this.#pins.has(sha256, 'result') && this.#isFree(sha256, referenced);
    return this.#deleteAll([...disk.names], unused);
  }

  async release(hashes: readonly string[], referenced: Referenced): Promise<number> {
    return this.#deleteAll(hashes, (sha256) => this.#isFree(sha256, referenced));
  }

  async #deleteAll(hashes: readonly string[], mayGo: (sha256: string) => boolean): Promise<number> {
    let deleted = 0;
    for (const sha256 of hashes) {
      // Asked in the same breath as the name goes, as on the real disk.
      if (!this.#isOurs || !this.has(sha256) || !mayGo(sha256)) continue;
      this.#options.disk.names.delete(sha256);
      deleted += 1;
      this.#options.onDeleted(sha256, this.#wasPromised(sha256));
      await new Promise<void>((resolve) => this.#later(resolve));
    }
    return deleted;
  }

  get #isOurs(): boolean {
    return this.#options.disk.owner === this.#options.process;
  }

  #isFree(sha256: string, referenced: Referenced): boolean {
    return !this.#pins.has(sha256, 'asked') && !referenced(sha256);
  }

  #wasPromised(sha256: string): boolean {
    const promisedMs = this.#promisedMs.get(sha256) ?? -Infinity;
    return this.#options.process.clock.monotonicMs() - promisedMs < PIN_MS;
  }

  #later(run: () => void): void {
    const { disk, process, prng } = this.#options;
    const delayMs = disk.mostDiskMs === 0 ? 0 : prng.longTailed(0.1, disk.mostDiskMs);
    process.after(delayMs, 'blob disk', run);
  }
}

/** One model, lent to one unit: from its start or its shelf until it is given back. */
import type { Borrower, HeldModel, SessionPoolOptions } from './session-pool.ts';
import type { LentModel, ModelRequest, WorkEnd } from './lent-model.ts';
import type { ModelWork, TensorFacts, WorkerAnswer, WorkPeak } from './model-work.ts';
import type { GuardedUnit } from '../process/memory-guard.ts';
import type { MemoryEnd } from '../process/memory-limits.ts';
import { endOf } from './work-end.ts';
import { linkPipes, unlinkPipes } from './worker-files.ts';
import type { WorkerProcess } from './worker-process.ts';

interface Ending {
  giveBack(held: HeldModel, isWell: boolean): Promise<void>;
}

/** What a context of a GPU takes before any model. */
const BASE_VRAM_BYTES = 600 * 2 ** 20;

export class Lending implements LentModel {
  readonly #borrower: Borrower;
  readonly #options: SessionPoolOptions;
  readonly #ending: Ending;
  /** The worker's part of its unit's memory: beyond it the worker goes, and the unit need not. */
  readonly #share: GuardedUnit;
  readonly #shareBytes: number;
  #worker: WorkerProcess | null = null;
  #held: HeldModel | null = null;
  #provider = '';
  #stopListening: () => void = () => undefined;
  #peak: WorkPeak | null = null;

  constructor(
    request: ModelRequest,
    borrower: Borrower,
    options: SessionPoolOptions,
    ending: Ending,
  ) {
    this.#borrower = borrower;
    this.#options = options;
    this.#ending = ending;
    const { ramBytes } = borrower.demand;
    this.#shareBytes =
      ramBytes === 0 ? 0 : Math.max(ramBytes / 4, ramBytes - request.reservedBytes);
    this.#share = options.memory.guard(this.#shareBytes);
  }

  /** From here on what ends the unit ends the worker, and its memory is the unit's. */
  take(worker: WorkerProcess, provider: string): void {
    const { guarded, signal } = this.#borrower;
    this.#worker = worker;
    this.#provider = provider;
    const end = (): void => void worker.end().catch(() => undefined);
    this.#options.host.sampler.watch(worker.pid);
    this.#share.add(worker.pid, end, true);
    guarded.add(worker.pid, end, true);
    signal.addEventListener('abort', end, { once: true });
    this.#stopListening = () => signal.removeEventListener('abort', end);
    if (signal.aborted) end();
  }

  async open(held: HeldModel): Promise<void> {
    this.#held = held;
    await linkPipes(held.worker.folder, this.#borrower.directory);
  }

  get inputs(): readonly TensorFacts[] {
    return this.#held?.inputs ?? [];
  }

  get outputs(): readonly TensorFacts[] {
    return this.#held?.outputs ?? [];
  }

  roomPixels(otherBytes: number): number {
    const { demand } = this.#borrower;
    const { learned } = this.#options;
    const { learnKey = '', baseBytes = 0 } = this.#held ?? {};
    const isOnCpu = this.#provider === 'cpu';
    return learned.roomPixels(learnKey, {
      memoryBytes: isOnCpu ? this.#shareBytes : demand.vramBytes,
      baseBytes: isOnCpu ? baseBytes : BASE_VRAM_BYTES,
      otherBytes: isOnCpu ? otherBytes : 0,
      heard: this.#heard,
    });
  }

  /** Bytes for each pixel, as other agents saw them. */
  get #heard(): number | undefined {
    const { modelMemory } = this.#borrower;
    const of = modelMemory.find(({ sha256, provider }) => {
      return sha256 === this.#held?.sha256 && provider === this.#provider;
    });
    return of !== undefined && of.pixelBytes > 0 ? of.pixelBytes : undefined;
  }

  async work(work: ModelWork, onTold: (told: WorkerAnswer) => void): Promise<WorkEnd> {
    const { worker } = this.#held!;
    const { demand, guarded } = this.#borrower;
    const memoryBytes = this.#shareBytes === 0 ? null : this.#shareBytes;
    const answer = await worker.command({ op: 'work', work, memoryBytes }, onTold);
    const ends = [guarded.end, this.#share.end];
    const end = endOf(answer, { provider: this.#provider, ends, demand });
    if (end.state === 'done') this.#peak = end.peak;
    else if (end.kind === 'out-of-memory' || end.kind === 'out-of-vram') this.#learnRunOut(ends);
    // The whole unit has outgrown what it was given: less in the model is no help.
    return end.state === 'failed' && guarded.end !== null ? { ...end, mayShrink: false } : end;
  }

  wakeWaiting(): void {
    this.#held?.worker.wakeWaiting();
  }

  async giveBack(isWell: boolean): Promise<void> {
    const held = this.#held!;
    this.#learn(held);
    this.#letGo();
    await unlinkPipes(this.#borrower.directory);
    await this.#ending.giveBack(held, isWell);
  }

  /** It never came to be lent. */
  async dropped(): Promise<void> {
    this.#letGo();
    await this.#worker?.end().catch(() => undefined);
  }

  #learn({ learnKey, worker }: HeldModel): void {
    const { host, learned } = this.#options;
    const { vramBytes } = host.sampler.peaksOf(worker.pid);
    if (vramBytes > 0) this.#borrower.noteVram(vramBytes);
    if (this.#peak === null) return;
    const { pixels } = this.#peak;
    const bytes =
      this.#provider === 'cpu' ? this.#peak.bytes : Math.max(0, vramBytes - BASE_VRAM_BYTES);
    if (bytes === 0) return;
    const pixelBytes = learned.note(learnKey, { bytes, pixels });
    if (pixelBytes !== undefined) this.#tell(pixelBytes, false);
  }

  /** Not when the machine ran out of it: that tells nothing of the model. */
  #learnRunOut(ends: readonly (MemoryEnd | null)[]): void {
    if (ends.some((end) => end?.cause === 'machine')) return;
    const { learnKey } = this.#held!;
    this.#tell(this.#options.learned.noteRunOut(learnKey, this.#heard), true);
  }

  #tell(pixelBytes: number, ranOut: boolean): void {
    const { sha256, provider, baseBytes } = this.#held!;
    this.#borrower.noteModel({ memory: { sha256, provider, pixelBytes, baseBytes }, ranOut });
  }

  #letGo(): void {
    this.#stopListening();
    const { guarded } = this.#borrower;
    if (this.#worker !== null) {
      guarded.remove(this.#worker.pid);
      this.#share.remove(this.#worker.pid);
    }
    this.#share.close();
  }
}

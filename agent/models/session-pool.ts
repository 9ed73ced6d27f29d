/**
 * The models that this agent holds, each in a process of its own (`worker-process.ts`). A unit borrows one
 * and gives it back; a process whose unit went well stays for the next unit of the same model, until it is
 * idle for too long or its memory is wanted (`idle-models.ts`). One whose unit failed is ended, whatever the
 * failure was: an error never leaves memory behind. While it is lent it is part of its unit: its memory is
 * the unit's, and what ends the unit ends it.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../kit/log.ts';
import { messageOf } from '../../kit/furrow-error.ts';
import type { Demand } from '../../proto/gen/furrow/v1/step.ts';
import { type ModelMemory, UnitModel } from '../../proto/gen/furrow/v1/model.ts';
import type { ModelSighting } from '../../proto/gen/furrow/work/v1/work.ts';
import type { MemoryGuard, GuardedUnit } from '../process/memory-guard.ts';
import type { MemoryState } from '../process/memory-left.ts';
import type { ProcessHost } from '../process/start-process.ts';
import {
  type IdleModel,
  inTheWay,
  type RoomWanted,
  takeFrom,
  untilTooLong,
} from './idle-models.ts';
import type { LearnedRoom } from './learned-room.ts';
import { Lending } from './lending.ts';
import type { LentModel, ModelRequest } from './lent-model.ts';
import type { TensorFacts } from './model-work.ts';
import { chooseProvider } from './provider-choice.ts';
import { WORKER_PROGRAM } from './worker-files.ts';
import { WorkerProcess } from './worker-process.ts';
import { endOf, WorkRefused } from './work-end.ts';

export interface SessionPoolOptions {
  readonly host: ProcessHost;
  readonly memory: MemoryGuard;
  readonly memoryLeft: () => MemoryState | null;
  /** Where workers have their folders: on the file system of the units' directories. Emptied at start. */
  readonly folder: string;
  readonly learned: LearnedRoom;
  /** Attributes that the agent has shown, such as `onnx:cpu`. */
  readonly proven: () => readonly string[];
  readonly log: Logger;
  /** The script that workers run; default our own. */
  readonly program?: string;
}

/** A unit that borrows. */
export interface Borrower {
  readonly directory: string;
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
  readonly guarded: GuardedUnit;
  readonly signal: AbortSignal;
  /** The most that a GPU of its was seen to hold for it, in bytes. */
  readonly noteVram: (bytes: number) => void;
  /** What the model was seen to take on other agents, by provider. */
  readonly modelMemory: readonly ModelMemory[];
  /** What it was seen to take here. */
  readonly noteModel: (seen: ModelSighting) => void;
}

/** A process with its model loaded. */
export interface HeldModel {
  readonly worker: WorkerProcess;
  readonly key: string;
  /** Names model and provider: what is learned is learned by it. */
  readonly learnKey: string;
  readonly sha256: string;
  readonly provider: string;
  /** Resident memory with the model loaded and before any work. */
  readonly baseBytes: number;
  readonly gpuIds: readonly string[];
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
}

export class SessionPool {
  readonly #options: SessionPoolOptions;
  readonly #idle = new Map<HeldModel, number>();
  readonly #all = new Set<WorkerProcess>();
  #timer: NodeJS.Timeout | undefined;
  #keeps = true;

  constructor(options: SessionPoolOptions) {
    this.#options = options;
    rmSync(options.folder, { recursive: true, force: true });
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  /**
   * A process that holds the model, warm or new. Throws WorkRefused when the model cannot be loaded, and
   * FurrowError TOOL_MISSING when this machine cannot run it.
   */
  async lend(request: ModelRequest, borrower: Borrower): Promise<LentModel> {
    const { signal, demand, gpuIds } = borrower;
    signal.throwIfAborted();
    const provider = chooseProvider(request.provider, gpuIds, this.#options.proven());
    const key = keyOf(request, provider, borrower);
    const warm = takeFrom(this.#idleModels(), key)?.held;
    if (warm !== undefined) this.#idle.delete(warm);
    await this.makeRoom({ ramBytes: warm === undefined ? demand.ramBytes : 0, gpuIds });
    const lending = new Lending(request, borrower, this.#options, {
      giveBack: (held, isWell) => this.#giveBack(held, isWell),
    });
    const worker = warm?.worker ?? (await this.#start(request, borrower));
    lending.take(worker, provider);
    try {
      const held = warm ?? (await this.#load(worker, request, provider, key, borrower));
      await lending.open(held);
      return lending;
    } catch (error) {
      await lending.dropped();
      throw error;
    }
  }

  /** Before a unit starts: ends what is idle and in its way. */
  async makeRoom(wanted: RoomWanted): Promise<void> {
    if (this.#idle.size === 0) return;
    const left = this.#options.memoryLeft();
    const going = inTheWay(this.#idleModels(), wanted, left?.leftBytes ?? null);
    await Promise.all(going.map(({ held }) => this.#end(held.worker)));
  }

  /** Whether processes stay after their units. Those that idle when they may not are ended. */
  async keep(keeps: boolean): Promise<void> {
    this.#keeps = keeps;
    if (keeps) return;
    await Promise.all([...this.#idle.keys()].map(({ worker }) => this.#end(worker)));
  }

  /** Ends all, and keeps none from here on. */
  async stop(): Promise<void> {
    this.#keeps = false;
    clearTimeout(this.#timer);
    await Promise.all([...this.#all].map((worker) => this.#end(worker)));
  }

  /** Processes that wait for a unit. */
  get idleCount(): number {
    return this.#idle.size;
  }

  async #start(request: ModelRequest, { directory, gpuIds }: Borrower): Promise<WorkerProcess> {
    const { host, folder, program = WORKER_PROGRAM } = this.#options;
    const worker = await WorkerProcess.start({
      host,
      program,
      folder: join(folder, randomUUID()),
      modelPath: join(directory, request.model.file),
      gpuIds,
    });
    this.#all.add(worker);
    void worker.gone.then(() => this.#forget(worker));
    return worker;
  }

  async #load(
    worker: WorkerProcess,
    { model }: ModelRequest,
    provider: string,
    key: string,
    { demand, gpuIds, guarded }: Borrower,
  ): Promise<HeldModel> {
    const { file, sha256, manifest } = UnitModel.fromPartial(model);
    if (manifest === undefined) throw new WorkRefused('invalid-input', `${file} has no manifest`);
    const threads = threadsOf(demand);
    const command = {
      op: 'load',
      file: 'model.onnx',
      sha256,
      manifest,
      provider,
      threads,
    } as const;
    const end = await worker.command(command);
    if (end.event === 'loaded') {
      const { inputs, outputs, residentBytes: baseBytes } = end;
      const learnKey = `${sha256} ${provider}`;
      return { worker, key, learnKey, sha256, provider, baseBytes, gpuIds, inputs, outputs };
    }
    const failed = endOf(end, { provider, ends: [guarded.end], demand });
    if (failed.state === 'done') throw new TypeError('a load answered as a work does');
    throw new WorkRefused(failed.kind, `${model.name || file}: ${failed.message}`);
  }

  async #giveBack(held: HeldModel, isWell: boolean): Promise<void> {
    const { worker } = held;
    if (!isWell || !this.#keeps || !worker.isAlive) return this.#end(worker);
    this.#idle.set(held, performance.now());
    this.#watchIdle();
  }

  async #end(worker: WorkerProcess): Promise<void> {
    this.#forgetIdle(worker);
    try {
      await worker.end();
    } catch (error) {
      this.#options.log.error({ pid: worker.pid, error: messageOf(error) }, 'a model stays');
    }
  }

  #forget(worker: WorkerProcess): void {
    this.#all.delete(worker);
    this.#forgetIdle(worker);
  }

  #forgetIdle(worker: WorkerProcess): void {
    for (const held of this.#idle.keys()) if (held.worker === worker) this.#idle.delete(held);
  }

  #watchIdle(): void {
    clearTimeout(this.#timer);
    const waitMs = untilTooLong(this.#idleModels(), performance.now());
    if (waitMs === undefined) return;
    this.#timer = setTimeout(() => {
      const nowMs = performance.now();
      for (const model of this.#idleModels()) {
        if ((untilTooLong([model], nowMs) ?? 1) <= 0) void this.#end(model.held.worker);
      }
      this.#watchIdle();
    }, waitMs).unref();
  }

  #idleModels(): readonly (IdleModel & { readonly held: HeldModel })[] {
    const { sampler } = this.#options.host;
    const living = [...this.#idle].filter(([{ worker }]) => worker.isAlive);
    return living.map(([held, idleSinceMs]) => ({
      held,
      key: held.key,
      gpuIds: held.gpuIds,
      residentBytes: sampler.residentOf(held.worker.pid),
      idleSinceMs,
    }));
  }
}

/** Whole CPUs that the unit has booked. */
function threadsOf({ cpuMillis }: Demand): number {
  return Math.max(1, Math.floor(cpuMillis / 1000));
}

function keyOf({ model }: ModelRequest, provider: string, { gpuIds, demand }: Borrower): string {
  const { sha256, manifest } = model;
  return JSON.stringify([sha256, provider, gpuIds, threadsOf(demand), manifest]);
}

/**
 * Models in processes of their own, as an agent holds them, in a temporary tree and without a farm. What runs
 * in the processes is the built worker.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LearnedRoom } from '../../agent/models/learned-room.ts';
import { SessionPool, type SessionPoolOptions } from '../../agent/models/session-pool.ts';
import { MemoryGuard } from '../../agent/process/memory-guard.ts';
import { MemoryLeft } from '../../agent/process/memory-left.ts';
import { MemorySampler } from '../../agent/process/memory-sampler.ts';
import { ProcessRecords } from '../../agent/process/process-records.ts';
import { runProcess, type ProcessHost } from '../../agent/process/run-process.ts';
import { VramUse } from '../../agent/process/vram-use.ts';
import type { RunnerContext, UnitWork } from '../../agent/runners/runner.ts';
import { stateFile } from '../../agent/state-file.ts';
import { createLog } from '../../kit/log.ts';
import {
  ChannelOrder,
  ModelKind,
  ModelManifest,
  type ModelMemory,
  type UnitModel,
} from '../../proto/gen/furrow/v1/model.ts';
import type { ModelSighting } from '../../proto/gen/furrow/work/v1/work.ts';

const CHECKOUT = join(import.meta.dirname, '..', '..');
const WORKER = join(CHECKOUT, 'dist/agent/models/worker/main.js');

/** Real models, where this machine has them: they are no part of the project. */
const SHARED_MODELS = join(CHECKOUT, '..', 'shared', 'models');
export const hasSharedModels = existsSync(SHARED_MODELS);

export function sharedModel(name: string): Buffer {
  return readFileSync(join(SHARED_MODELS, name));
}

/** What the tests know of the real ones. */
export const REAL_MODELS = {
  anime: { file: 'realesr-animevideov3-x4.onnx', scale: 4, halo: 18 },
  waifu: { file: 'waifu2x-upconv7-x2.onnx', scale: 2, halo: 8 },
  espcn: {
    file: 'espcn-x3-luma.onnx',
    scale: 3,
    halo: 5,
    channels: ChannelOrder.CHANNEL_ORDER_LUMA,
  },
} as const;

export interface AttemptContext extends RunnerContext {
  readonly lines: readonly string[];
  readonly counters: readonly number[];
  /** What its models were seen to take. */
  readonly sightings: readonly ModelSighting[];
}

export class ModelTree {
  readonly root: string;
  readonly host: ProcessHost;
  readonly memory: MemoryGuard;
  readonly pool: SessionPool;
  /** What the farm says of models, with each attempt. */
  heard: readonly ModelMemory[] = [];

  constructor(root: string, options: Partial<SessionPoolOptions> = {}) {
    this.root = root;
    const memoryLeft = new MemoryLeft();
    const log = createLog({ role: 'test', level: 'silent' });
    const sampler = new MemorySampler(new VramUse());
    const state = join(root, 'state');
    mkdirSync(state, { recursive: true });
    this.host = options.host ?? { records: new ProcessRecords(join(root, 'processes')), sampler };
    this.memory = new MemoryGuard({
      sampler: this.host.sampler,
      enforcement: 'on',
      cgroups: null,
      memoryLeft: () => memoryLeft.read(),
      log,
    });
    this.pool = new SessionPool({
      host: this.host,
      memory: this.memory,
      memoryLeft: () => memoryLeft.read(),
      folder: join(root, 'models'),
      learned: new LearnedRoom(stateFile(state, 'models-learned.json')),
      proven: () => ['onnx:cpu'],
      log,
      program: WORKER,
      ...options,
    });
  }

  close(): Promise<void> {
    return this.pool.stop();
  }

  /** Of an attempt, as `execute-unit.ts` makes it. */
  context(
    work: Pick<UnitWork, 'directory' | 'demand' | 'gpuIds'>,
    signal = new AbortController().signal,
  ): AttemptContext {
    const lines: string[] = [];
    const counters: number[] = [];
    const sightings: ModelSighting[] = [];
    const log = (line: string): unknown => lines.push(line);
    const guarded = this.memory.guard(work.demand.ramBytes);
    return {
      signal,
      lines,
      counters,
      sightings,
      progress: (_fraction, counter) => counters.push(counter),
      log,
      run: (request) => runProcess(this.host, request, { signal, log, guarded }),
      lendModel: (request) =>
        this.pool.lend(request, {
          ...work,
          guarded,
          signal,
          noteVram: () => undefined,
          modelMemory: this.heard,
          noteModel: (seen) => sightings.push(seen),
        }),
    };
  }

  /** Processes that were started and are not known to be gone. */
  get running(): number {
    return readdirSync(join(this.root, 'processes')).length;
  }
}

/** A model that makes pictures larger, as a unit is given it. */
export function upscaler(file: Buffer, manifest: Partial<ModelManifest> = {}): UnitModel {
  return {
    name: 'made',
    file: 'model.onnx',
    sha256: createHash('sha256').update(file).digest('hex'),
    manifest: ModelManifest.fromPartial({
      kind: ModelKind.MODEL_KIND_UPSCALE,
      licence: 'CC0-1.0',
      channels: ChannelOrder.CHANNEL_ORDER_RGB,
      scale: 2,
      ...manifest,
    }),
  };
}

/** One of the real ones, and its bytes. */
export function realModel(name: keyof typeof REAL_MODELS): {
  readonly model: UnitModel;
  readonly file: Buffer;
} {
  const { file: fileName, ...manifest } = REAL_MODELS[name];
  const file = readFileSync(join(SHARED_MODELS, fileName));
  return { model: upscaler(file, manifest), file };
}

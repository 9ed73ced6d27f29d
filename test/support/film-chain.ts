/**
 * Runs the film runners one after the other in a temporary tree, as the farm would: each attempt in a
 * directory of its own that holds its inputs, and outputs taken by pattern. No farm is needed.
 */
import { copyFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { runProcess, type ProcessHost } from '../../agent/process/run-process.ts';
import { audioRunner } from '../../agent/runners/film/audio.ts';
import { concatRunner } from '../../agent/runners/film/concat.ts';
import { encodeRunner } from '../../agent/runners/film/encode.ts';
import { interpolateRunner } from '../../agent/runners/film/interpolate.ts';
import { findQualityRunner } from '../../agent/runners/film/find-quality.ts';
import { measureRunner } from '../../agent/runners/film/measure.ts';
import { planRatesRunner } from '../../agent/runners/film/plan-rates.ts';
import { proveFilmRunner } from '../../agent/runners/film/prove-film.ts';
import { splitRunner } from '../../agent/runners/film/split.ts';
import { upscaleRunner } from '../../agent/runners/film/upscale.ts';
import type { Runner, RunnerContext, RunOutcome, UnitWork } from '../../agent/runners/runner.ts';
import type { UnitModel } from '../../proto/gen/furrow/v1/model.ts';
import type {
  AudioEncoding,
  SplitTask,
  Task,
  VideoEncoding,
} from '../../proto/gen/furrow/v1/task.ts';
import { ModelTree } from './model-tree.ts';

const MODEL_FILE = 'model.onnx';

interface ProgressReport {
  readonly fraction: number;
  readonly counter: number;
}

export interface UnitRun {
  readonly outcome: RunOutcome;
  readonly log: readonly string[];
  readonly progress: readonly ProgressReport[];
}

interface ChainModel {
  readonly model: UnitModel;
  readonly file: Uint8Array;
}

export interface ChainOptions {
  readonly video?: Partial<VideoEncoding>;
  readonly audio?: AudioEncoding;
  /** Name of the film. */
  readonly film?: string;
  readonly pieceMs?: number;
  /** Chunks are made larger by this model. */
  readonly upscale?: ChainModel;
  /** Chunks have frames at other times, which this model makes; `split` says which. */
  readonly interpolate?: ChainModel;
  readonly smoothDuplicates?: boolean;
  /** Of each unit that makes a chunk; 0 for no limit. */
  readonly ramBytes?: number;
  /** More that split is told. */
  readonly split?: Partial<SplitTask>;
}

export interface ChainResult {
  /** The outcome of the last unit that ran. */
  readonly outcome: RunOutcome;
  readonly step: string;
  /** Holds everything that any unit left: plan, chunks, film, proof. */
  readonly directory: string;
  readonly film: string;
  /** Name of the source. */
  readonly source: string;
  readonly runs: ReadonlyMap<string, UnitRun>;
}

/** One temporary tree; removed by `close`. */
export class FilmChain {
  readonly root: string;
  readonly #host: ProcessHost;
  readonly #models: ModelTree;
  #ramBytes = 0;

  private constructor(root: string) {
    this.root = root;
    this.#models = new ModelTree(root);
    this.#host = this.#models.host;
  }

  static async open(): Promise<FilmChain> {
    return new FilmChain(await mkdtemp(join(tmpdir(), 'furrow-film-')));
  }

  async close(): Promise<void> {
    await this.#models.close();
    await rm(this.root, { recursive: true, force: true });
  }

  /** Split, encode, audio, concat, proof. Stops at the first unit that does not succeed. */
  async transcode(sourcePath: string, options: ChainOptions = {}): Promise<ChainResult> {
    const store = await mkdtemp(join(this.root, 'job-'));
    const source = basename(sourcePath);
    await copyFile(sourcePath, join(store, source));
    const film = options.film ?? 'film.mp4';
    const runs = new Map<string, UnitRun>();
    const step = async (
      name: string,
      runner: Runner,
      kind: TaskKind,
      inputs: readonly string[],
      outputs: readonly string[],
      item = '',
    ): Promise<boolean> => {
      const run = await this.#unit(store, name, runner, kind, inputs, outputs, item);
      runs.set(name, run);
      return run.outcome.state === 'succeeded';
    };
    const ended = (): ChainResult => {
      const [name, run] = [...runs.entries()].at(-1)!;
      const { outcome } = run;
      return { outcome, step: name, directory: store, film: join(store, film), source, runs };
    };

    const pieceMs = options.pieceMs ?? 1000;
    const split = { $case: 'split', value: { source, pieceMs, ...options.split } } as const;
    if (!(await step('split', splitRunner, split, [source], ['plan.json', 'piece-*']))) {
      return ended();
    }
    const video = { ...VIDEO, ...options.video };
    const { bitrateBps = 0, targetSsim = 0 } = video;
    if (bitrateBps > 0) {
      const measure = { $case: 'measure', value: { video } } as const;
      for (const piece of await matching(store, 'piece-*')) {
        const inputs = [piece, 'plan.json'];
        const name = `measure ${piece}`;
        if (!(await step(name, measureRunner, measure, inputs, ['measure-*'], piece)))
          return ended();
      }
      const rates = { $case: 'planRates', value: { bitrateBps } } as const;
      const inputs = ['plan.json', 'measure-*'];
      if (!(await step('rates', planRatesRunner, rates, inputs, ['rates.json']))) return ended();
    }
    if (targetSsim > 0) {
      const quality = { $case: 'findQuality', value: { source, video, targetSsim } } as const;
      const inputs = [source, 'plan.json'];
      const outputs = ['quality.json'];
      if (!(await step('quality', findQualityRunner, quality, inputs, outputs))) return ended();
    }
    const { upscale, interpolate, smoothDuplicates } = options;
    const used = upscale ?? interpolate;
    if (used !== undefined) await writeFile(join(store, MODEL_FILE), used.file);
    const use = { model: used?.model, provider: '' };
    const [runner, chunk]: readonly [Runner, TaskKind] =
      upscale !== undefined
        ? [upscaleRunner, { $case: 'upscale', value: { use, video } }]
        : interpolate !== undefined
          ? [interpolateRunner, { $case: 'interpolate', value: { use, video, smoothDuplicates } }]
          : [encodeRunner, { $case: 'encode', value: { video } }];
    for (const piece of await matching(store, 'piece-*')) {
      const name = `encode ${piece}`;
      const inputs = [
        piece,
        'plan.json',
        'rates.json',
        'quality.json',
        ...(used === undefined ? [] : [MODEL_FILE]),
      ];
      const outputs = ['chunk-*', 'seal-*'];
      this.#ramBytes = options.ramBytes ?? 0;
      if (!(await step(name, runner, chunk, inputs, outputs, piece))) return ended();
      this.#ramBytes = 0;
    }
    const audio = { $case: 'audio', value: { source, audio: options.audio } } as const;
    if (!(await step('audio', audioRunner, audio, [source], ['audio.*']))) return ended();
    const concat = { $case: 'concat', value: { source, film } } as const;
    const joined = [source, 'plan.json', 'chunk-*', 'seal-*', 'audio.*'];
    if (!(await step('concat', concatRunner, concat, joined, [film]))) return ended();
    runs.set('proof', await this.#prove(store, source, film));
    return ended();
  }

  /** Proves a finished film again, after `spoil` did something to a copy of it. */
  async proveSpoilt(
    made: ChainResult,
    spoil: (directory: string, film: string) => Promise<void>,
  ): Promise<RunOutcome> {
    const store = await mkdtemp(join(this.root, 'spoilt-'));
    await cp(made.directory, store, { recursive: true });
    const film = basename(made.film);
    await spoil(store, film);
    return (await this.#prove(store, made.source, film)).outcome;
  }

  /** The first unit alone. */
  async split(sourcePath: string): Promise<UnitRun> {
    const store = await mkdtemp(join(this.root, 'job-'));
    const source = basename(sourcePath);
    await copyFile(sourcePath, join(store, source));
    const split = { $case: 'split', value: { source, pieceMs: 1000 } } as const;
    return this.#unit(store, 'split', splitRunner, split, [source], [], '');
  }

  /** One unit in a directory that `prepare` fills, and nobody copies. */
  async attempt(
    runner: Runner,
    kind: TaskKind,
    prepare: (directory: string) => Promise<void>,
    item = '',
  ): Promise<RunOutcome> {
    const directory = await mkdtemp(join(this.root, 'attempt-'));
    await prepare(directory);
    const work = unitWork(directory, kind, runner.kind, item);
    return runner.run(work, this.context([], [], work));
  }

  /** Real processes as an agent starts them: groups, records, no farm. */
  context(log: string[] = [], progress: ProgressReport[] = [], work?: UnitWork): RunnerContext {
    const { signal } = new AbortController();
    const models = work === undefined ? undefined : this.#models.context(work, signal);
    return {
      signal,
      progress: (fraction, counter) => progress.push({ fraction, counter }),
      log: (line) => log.push(line),
      run: (request) => runProcess(this.#host, request, { signal, log: (line) => log.push(line) }),
      lendModel: (request) =>
        models?.lendModel(request) ?? Promise.reject(new Error('there is no attempt')),
    };
  }

  /** For after each test. */
  async refuseRunning(): Promise<void> {
    const running = await readdir(join(this.root, 'processes'));
    if (running.length > 0) throw new Error(`${running.length} processes have not ended`);
  }

  async #prove(store: string, source: string, film: string): Promise<UnitRun> {
    const proof = { $case: 'proveFilm', value: { source, film } } as const;
    const aims = ['rates.json', 'quality.json'];
    const held = [source, film, 'plan.json', 'seal-*', 'audio.json', ...aims];
    return this.#unit(store, 'proof', proveFilmRunner, proof, held, ['proof.json'], '');
  }

  async #unit(
    store: string,
    step: string,
    runner: Runner,
    kind: TaskKind,
    inputs: readonly string[],
    outputs: readonly string[],
    item: string,
  ): Promise<UnitRun> {
    const directory = await mkdtemp(join(this.root, 'attempt-'));
    await mkdir(directory, { recursive: true });
    for (const pattern of inputs) {
      for (const name of await matching(store, pattern)) {
        await copyFile(join(store, name), join(directory, name));
      }
    }
    const log: string[] = [];
    const progress: ProgressReport[] = [];
    const made = unitWork(directory, kind, step, item);
    const work = { ...made, demand: { ...made.demand, ramBytes: this.#ramBytes } };
    const outcome = await runner.run(work, this.context(log, progress, work));
    if (outcome.state === 'succeeded') {
      for (const pattern of outputs) {
        for (const name of await matching(directory, pattern)) {
          await copyFile(join(directory, name), join(store, name));
        }
      }
    }
    await rm(directory, { recursive: true, force: true });
    return { outcome, log, progress };
  }
}

const VIDEO: VideoEncoding = {
  encoder: 'libx264',
  crf: 20,
  // The quickest preset that still reorders frames.
  preset: 'superfast',
  width: 0,
  height: 0,
  threads: 1,
};

async function matching(directory: string, pattern: string): Promise<string[]> {
  const [before, after] = pattern.split('*');
  const names = await readdir(directory);
  return names
    .filter((name) =>
      after === undefined ? name === before : name.startsWith(before!) && name.endsWith(after),
    )
    .sort();
}

type TaskKind = NonNullable<Task['kind']>;

/** An attempt's work, in its directory. */
export function unitWork(directory: string, kind: TaskKind, step = 'step', item = ''): UnitWork {
  return {
    files: [],
    jobId: 'j1',
    step,
    unit: 0,
    attempt: 1,
    value: '',
    item,
    task: { kind },
    demand: {
      cpuMillis: 1000,
      ramBytes: 0,
      gpus: 0,
      vramBytes: 0,
      scratchBytes: 0,
      encoderSessions: 0,
      attributes: [],
      tickets: {},
    },
    limits: { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 0 },
    gpuIds: [],
    directory,
  };
}

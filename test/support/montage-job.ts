/**
 * Runs the units of a montage one after the other in one directory, as the steps of its job would; no farm is
 * needed. What the units leave is there to be looked at, and to be spoilt.
 */
import { cp, mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { runnerRegistry } from '../../agent/runners/registry.ts';
import type { RunOutcome } from '../../agent/runners/runner.ts';
import { type MontageRequest, montageSteps } from '../../coordinator/recipes/montage.ts';
import { matchesPattern } from '../../agent/collect-outputs.ts';
import type { FarmModel } from '../../coordinator/domain/model.ts';
import type { UnitModel } from '../../proto/gen/furrow/v1/model.ts';
import type { Task } from '../../proto/gen/furrow/v1/task.ts';
import { type FilmChain, unitWork } from './film-chain.ts';

interface MontageRun {
  readonly outcome: RunOutcome;
  /** The last step that ran. */
  readonly step: string;
  readonly directory: string;
  readonly log: readonly string[];
}

const PLAIN: MontageRequest = {
  clips: [],
  style: '',
  lengthMs: 0,
  seed: 0,
  width: 320,
  height: 180,
  rate: { num: 25, den: 1 },
  enhance: false,
  stabilize: false,
  proxies: false,
  clipSound: 0,
  musicFromMs: 0,
  fit: '',
  film: 'film.mp4',
  encoder: '',
  crf: 12,
  preset: 'ultrafast',
  upscale: '',
  provider: '',
  cpus: 0,
  ramBytes: 0,
  vramBytes: 0,
};

export interface MontageInputs {
  readonly clips: readonly string[];
  readonly music: string;
  /** Text of a list, and its name. */
  readonly cuts?: { readonly name: string; readonly text: string };
}

interface MontageOptions extends Partial<MontageRequest> {
  /** The last step to run; default all. */
  readonly until?: string;
  /** What is smaller than the film goes through it. */
  readonly model?: { readonly model: UnitModel; readonly file: Uint8Array };
  /** Main memory of each unit, in bytes; 0 for no limit. */
  readonly limitBytes?: number;
  /** Go on in a copy of what another run left, after this step of it. */
  readonly resume?: { readonly directory: string; readonly after: string };
}

/** Stops at the first unit that does not succeed. */
export async function runMontage(
  chain: FilmChain,
  inputs: MontageInputs,
  { until, resume, model, limitBytes = 0, ...over }: MontageOptions = {},
): Promise<MontageRun> {
  const directory = await mkdtemp(join(chain.root, 'montage-'));
  const file = (path: string) => ({ name: basename(path), sha256: '0'.repeat(64), sizeBytes: 1 });
  if (resume !== undefined) await cp(resume.directory, directory, { recursive: true });
  const put = async (folder: string, path: string): Promise<void> => {
    await mkdir(join(directory, folder), { recursive: true });
    await cp(path, join(directory, folder, basename(path)));
  };
  for (const clip of inputs.clips) await put('clips', clip);
  await put('music', inputs.music);
  if (inputs.cuts !== undefined) {
    await mkdir(join(directory, 'list'), { recursive: true });
    await writeFile(join(directory, 'list', inputs.cuts.name), inputs.cuts.text);
  }
  if (model !== undefined) await writeFile(join(directory, 'model.onnx'), model.file);
  const request = {
    ...PLAIN,
    ...over,
    clips: inputs.clips.map(file),
    music: file(inputs.music),
    cuts: inputs.cuts === undefined ? undefined : file(inputs.cuts.name),
    upscale: model?.model.name ?? '',
  };
  const plan = montageSteps(request, model === undefined ? new Map() : farmModels(model.model));
  if (plan.state === 'invalid') throw new Error(plan.message);
  const log: string[] = [];
  const done = plan.steps.findIndex(({ name }) => name === resume?.after);
  for (const spec of plan.steps.slice(done + 1)) {
    const task = spec.task!.kind as NonNullable<Task['kind']>;
    const kind = spec.parameters?.kind;
    const pattern = kind?.$case === 'forEach' ? kind.value.pattern : undefined;
    const names = (await readdir(directory)).sort();
    const items =
      pattern === undefined ? [''] : names.filter((name) => matchesPattern(name, pattern));
    for (const item of items) {
      const made = unitWork(directory, task, spec.name, item);
      const work = { ...made, demand: { ...made.demand, ramBytes: limitBytes } };
      const runner = runnerRegistry.get(task.$case)!;
      const outcome = await runner.run(work, chain.context(log, [], work));
      if (outcome.state !== 'succeeded') return { outcome, step: spec.name, directory, log };
    }
    if (spec.name === until) break;
  }
  return { outcome: { state: 'succeeded' }, step: until ?? 'proof', directory, log };
}

function farmModels({ name, sha256, manifest }: UnitModel): ReadonlyMap<string, FarmModel> {
  const file = { name: 'model.onnx', sha256, sizeBytes: 1 };
  return new Map([[name, { name, file, manifest: manifest!, addedAtMs: 0 }]]);
}

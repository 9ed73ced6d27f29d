/** Tries a model: loads it, runs it once, and writes down what it is and what it took. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckedRun } from '../models/model-work.ts';
import { WorkRefused } from '../models/work-end.ts';
import type { RunOutcome, Runner, RunnerContext, UnitWork } from './runner.ts';

/** What `check-PROVIDER.json` says. */
interface ModelCheck extends CheckedRun {
  readonly version: 1;
  readonly model: string;
  readonly sha256: string;
  readonly provider: string;
  /** Until it could be used: of a model that was kept warm, next to nothing. */
  readonly loadMs: number;
  /** Beyond what the process had with the model loaded; 0 where nobody saw it. */
  readonly peakBytes: number;
  /** A side that may be anything is a name. */
  readonly inputs: readonly {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly (number | string)[];
  }[];
}

export const checkModelRunner: Runner = {
  kind: 'checkModel',
  usesModel: true,
  async run(work, context): Promise<RunOutcome> {
    if (work.task.kind?.$case !== 'checkModel') throw new Error('not a task of kind checkModel');
    try {
      return await check(work, context, work.task.kind.value);
    } catch (error) {
      if (!(error instanceof WorkRefused)) throw error;
      return { state: 'failed', kind: error.kind, message: error.message };
    }
  },
};

type Task = Extract<UnitWork['task']['kind'], { readonly $case: 'checkModel' }>['value'];

async function check(work: UnitWork, context: RunnerContext, task: Task): Promise<RunOutcome> {
  const { model, provider = '' } = task.use ?? {};
  if (model === undefined) {
    return { state: 'failed', kind: 'invalid-input', message: 'the task names no model' };
  }
  context.progress(0, 0, 'loading');
  const startMs = performance.now();
  const lent = await context.lendModel({ model, provider, reservedBytes: 0 });
  const loadMs = performance.now() - startMs;
  context.progress(0.5, 1, 'running');
  let isWell = false;
  try {
    let run: CheckedRun | undefined;
    const { width, height } = task;
    const end = await lent.work({ kind: 'check', width, height }, (told) => {
      if (told.event === 'result') run = told.value as CheckedRun;
    });
    if (end.state === 'failed') {
      return { state: 'failed', kind: end.kind, message: end.message };
    }
    isWell = true;
    if (run === undefined) throw new Error('the worker told no result');
    const found: ModelCheck = {
      version: 1,
      model: model.name,
      sha256: model.sha256,
      provider: provider || 'cpu',
      loadMs: Math.round(loadMs),
      peakBytes: end.peak?.bytes ?? 0,
      inputs: lent.inputs,
      ...run,
    };
    const file = join(work.directory, `check-${found.provider}.json`);
    await writeFile(file, `${JSON.stringify(found)}\n`);
    context.progress(1, 2, '');
    return { state: 'succeeded' };
  } finally {
    await lent.giveBack(isWell);
  }
}

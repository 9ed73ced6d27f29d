/** `furrow models check`: the model is run once on the farm by each provider that is asked for, one after another. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { JobState, type Job } from '../proto/gen/furrow/v1/job_service.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { fetchOutputs, placeOutputs } from './fetch-outputs.ts';
import { followJob } from './follow-job.ts';
import type { FrameSize } from './options.ts';
import type { ModelTrial } from './report.ts';
import { submit } from './submit-job.ts';

export interface ModelCheckOptions {
  readonly agent?: string;
  /** Undefined: cpu. */
  readonly provider?: readonly string[];
  readonly size?: FrameSize;
}

const factsSchema = z.object({
  loadMs: z.number(),
  runMs: z.number(),
  peakBytes: z.number(),
  width: z.number(),
  height: z.number(),
  inputs: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      shape: z.array(z.union([z.number(), z.string()])),
    }),
  ),
  outputs: z.array(
    z.object({ name: z.string(), dims: z.array(z.number()), least: z.number(), most: z.number() }),
  ),
});

export async function checkModel(
  model: string,
  { agent = '', provider, size }: ModelCheckOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const trials: ModelTrial[] = [];
  for (const name of provider ?? ['cpu']) {
    const { width = 0, height = 0 } = size ?? {};
    const value = { model, providers: [name], agent, width, height };
    const { job } = await submit({ $case: 'checkModel', value }, `check ${model}`, {}, context);
    trials.push(await trialOf(await followJob(job.id, context), name, context));
  }
  const isWell = trials.every(({ facts }) => facts !== undefined);
  return {
    report: { kind: 'model-trials', model, trials },
    ...(!isWell && { exitCode: EXIT.jobFailed }),
  };
}

async function trialOf(job: Job, provider: string, context: CommandContext): Promise<ModelTrial> {
  const known = { provider, jobId: job.id };
  if (job.state !== JobState.JOB_STATE_SUCCEEDED) {
    return { ...known, fault: job.reason || 'it was cancelled', facts: undefined };
  }
  const folder = await mkdtemp(join(tmpdir(), 'furrow-check-'));
  try {
    const placements = await placeOutputs(job, folder, false);
    const [file] = await fetchOutputs(job.id, placements, false, context);
    const facts = factsSchema.parse(JSON.parse(await readFile(file?.path ?? '', 'utf8')));
    return { ...known, fault: undefined, facts };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

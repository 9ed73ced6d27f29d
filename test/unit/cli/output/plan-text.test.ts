import { expect, test } from 'vitest';
import { planLines } from '../../../../cli/output/plan-text.ts';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import type { JobPlan, StepPlan } from '../../../../proto/gen/furrow/v1/job_service.ts';
import { NO_DEMAND } from '../../../support/farm-jobs.ts';

const GIB = 2 ** 30;

function stepPlan(over: Partial<StepPlan>): StepPlan {
  return {
    name: 'encode',
    known: true,
    units: 1,
    unitsFrom: '',
    waitsFor: [],
    demand: NO_DEMAND,
    agentsNow: [],
    agentsLater: [],
    missing: '',
    unitMs: undefined,
    measuredBy: '',
    takesMs: undefined,
    unknown: '',
    ...over,
  };
}

const PLAN: JobPlan = {
  takesMs: undefined,
  unknown: 'no unit like those of upscale ran yet',
  steps: [
    stepPlan({
      known: false,
      units: 0,
      unitsFrom: 'split',
      waitsFor: ['split'],
      demand: { ...NO_DEMAND, cpuMillis: 2_500, ramBytes: 1.5 * GIB, attributes: ['tool:ffmpeg'] },
      agentsNow: ['den', 'nas'],
      agentsLater: ['rtx3060-attic'],
      unitMs: 12_000,
      measuredBy: 'j3',
      unknown: 'how many units encode has is known only after split',
    }),
    stepPlan({
      name: 'upscale',
      units: 40,
      waitsFor: ['encode'],
      demand: { ...NO_DEMAND, gpus: 2, vramBytes: 10 * GIB },
      missing: 'no agent could run it; would help: an agent with 2 GPUs, 10.0 GiB VRAM on each',
      unknown: 'no unit like those of upscale ran yet',
    }),
    stepPlan({ name: 'otherwise', insteadOf: 'upscale', unknown: 'nobody knows' }),
  ],
};

test('in a pipe', () => {
  expect(planLines({ name: 'clip.mov', plan: PLAN, notes: [] }, PLAIN_STYLE, undefined)).toEqual([
    'clip.mov would wait: something is missing; nothing was sent',
    'encode: units known after step split',
    '  needs: 2.5 cores, 1.5 GiB RAM, tool:ffmpeg',
    '  runs on: den, nas now; rtx3060-attic once it has room',
    '  takes: 12s a unit, as in j3; how many units encode has is known only after split',
    'upscale: 40 units, after encode',
    '  needs: 2 GPUs with 10 GiB VRAM each',
    '  runs on: no agent could run it; would help: an agent with 2 GPUs, 10.0 GiB VRAM on each',
    '  takes: unknown, no unit like those of upscale ran yet',
    'otherwise: only if upscale fails, in its place',
    '  needs: nothing',
    '  runs on: ',
    '  takes: unknown, nobody knows',
    'all of it takes: unknown, no unit like those of upscale ran yet',
  ]);
});

test('on 40 columns', () => {
  expect(
    planLines({ name: 'clip.mov', plan: PLAN, notes: [] }, PLAIN_STYLE, 40).slice(0, 12),
  ).toEqual([
    'clip.mov would wait: something is',
    '  missing; nothing was sent',
    'encode: units known after step split',
    '  needs: 2.5 cores, 1.5 GiB RAM,',
    '    tool:ffmpeg',
    '  runs on: den, nas now; rtx3060-attic',
    '    once it has room',
    '  takes: 12s a unit, as in j3; how many',
    '    units encode has is known only after',
    '    split',
    'upscale: 40 units, after encode',
    '  needs: 2 GPUs with 10 GiB VRAM each',
  ]);
});

test('what is known, and more agents than a line holds', () => {
  const agentsNow = Array.from({ length: 9 }, (_, at) => `box-${at}`);
  const step = stepPlan({
    units: 40,
    agentsNow,
    unitMs: 30_000,
    measuredBy: 'j1',
    takesMs: 150_000,
  });
  expect(
    planLines(
      {
        name: 'c',
        plan: { steps: [step], takesMs: 150_000, unknown: '' },
        notes: ['auto is libx264: agent nas, which may take the job, has none'],
      },
      PLAIN_STYLE,
      undefined,
    ),
  ).toEqual([
    'c would run; nothing was sent',
    'auto is libx264: agent nas, which may take the job, has none',
    'encode: 40 units',
    '  needs: nothing',
    '  runs on: box-0, box-1, box-2, box-3, box-4, box-5 and 3 more',
    '  takes: 2m 30s; 30s a unit, as in j1',
    'all of it takes: 2m 30s if nothing else runs',
  ]);
});

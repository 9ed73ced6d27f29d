import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import type { StepSpec } from '../../../../coordinator/domain/task.ts';
import { sameQuality } from '../../../../coordinator/recipes/codings.ts';
import { chooseEncoder, type FilmAgent } from '../../../../coordinator/recipes/encoder-choice.ts';
import { folderSteps } from '../../../../coordinator/recipes/folder.ts';
import { ladderSteps } from '../../../../coordinator/recipes/ladder.ts';
import type { RecipePlan } from '../../../../coordinator/recipes/recipe.ts';
import {
  transcodeSteps,
  type TranscodeRequest,
} from '../../../../coordinator/recipes/transcode.ts';

const SOURCE = { name: 'holiday.mov', sha256: 'a'.repeat(64), sizeBytes: 1_000_000 };
const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };
const REQUEST: TranscodeRequest = { source: SOURCE, film: '', pieceMs: 0 };

const agent = (name: string, ...encoders: string[]): FilmAgent => ({
  name,
  encoders: new Set(['libx264', 'libx265', ...encoders]),
  cpus: 4,
});
const TWO = [
  agent('den', 'h264_vaapi', 'h264_nvenc', 'hevc_nvenc', 'av1_nvenc'),
  agent('nas', 'h264_nvenc', 'hevc_nvenc', 'av1_nvenc'),
];

function chosen(
  encoder: string,
  agents: readonly FilmAgent[],
  container: 'mp4' | 'mov' | 'webm' = 'mp4',
): string[] {
  const choice = chooseEncoder({ video: { ...VIDEO, encoder } }, container, agents);
  if (choice.state === 'invalid') return [choice.message];
  return [choice.video?.encoder ?? '', choice.fallback?.encoder ?? '', ...choice.notes];
}

describe('auto', () => {
  test.each<[string, readonly FilmAgent[], 'mp4' | 'mov' | 'webm', string, string, string]>([
    [
      'auto:h264',
      TWO,
      'mp4',
      'h264_nvenc',
      'libx264',
      'auto:h264 is h264_nvenc: all 2 agents that may take the job have it; libx264 does the film if it fails',
    ],
    [
      'auto:hevc',
      TWO.slice(1),
      'mp4',
      'hevc_nvenc',
      'libx265',
      'auto:hevc is hevc_nvenc: the agent that may take the job has it; libx265 does the film if it fails',
    ],
    [
      'auto',
      [...TWO, agent('old')],
      'mp4',
      'libx264',
      '',
      'auto is libx264: agent old, which may take the job, has no encoder of hardware for h264',
    ],
    [
      'auto',
      [agent('a', 'h264_qsv'), agent('b', 'h264_amf')],
      'mp4',
      'libx264',
      '',
      'auto is libx264: the 2 agents that may take the job have no encoder of hardware in common',
    ],
    ['auto', [], 'mp4', 'libx264', '', 'auto is libx264: no agent is there that may take the job'],
    [
      'auto',
      TWO,
      'webm',
      'libvpx-vp9',
      '',
      'auto is libvpx-vp9: no encoder of hardware makes vp9 for .webm',
    ],
  ])('%s', (asked, agents, container, encoder, fallback, note) => {
    expect(chosen(asked, agents, container)).toEqual([encoder, fallback, note]);
  });

  test('knows three codecs, and no presets', () => {
    expect(chosen('auto:vp9', TWO)).toEqual([
      'video encoder "auto:vp9" is not known: use auto, auto:h264, auto:hevc or auto:av1',
    ]);
    const video = { ...VIDEO, encoder: 'auto', preset: 'fast' };
    expect(chooseEncoder({ video }, 'mp4', TWO)).toMatchObject({
      message: "presets are an encoder's own: leave it out with auto, or name an encoder",
    });
  });

  test('takes the quality as software counts it, as far from the usual', () => {
    const choice = (crf: number) =>
      chooseEncoder({ video: { ...VIDEO, encoder: 'auto:h264', crf } }, 'mp4', TWO);
    expect(choice(17)).toMatchObject({ video: { crf: 21 }, fallback: { crf: 17 } });
    // What is usual stays for each to know.
    expect(choice(0)).toMatchObject({ video: { crf: 0 }, fallback: { crf: 0 } });
    expect(sameQuality(60, 'libsvtav1', 'av1_nvenc')).toBe(51);
    expect(sameQuality(2, 'h264_nvenc', 'libx264')).toBe(1);
  });

  test('is software where hardware cannot do what is asked for', () => {
    const why = (more: object): string | undefined => {
      const choice = chooseEncoder({ video: { ...VIDEO, encoder: 'auto', ...more } }, 'mp4', TWO);
      return choice.state === 'ok' ? choice.notes[0] : choice.message;
    };
    expect(why({ targetSsim: 0.98 })).toBe(
      'auto is libx264: a target SSIM is for encoders of software',
    );
    expect(why({ maxBitrateBps: 5_000_000 })).toBe(
      'auto is libx264: a ceiling of the bit rate is for encoders of software',
    );
  });
});

const namesOf = (plan: RecipePlan): string[] => {
  if (plan.state === 'invalid') throw new Error(plan.message);
  expect(faultOfSteps(plan.steps)).toBeUndefined();
  return plan.steps.map(({ name }) => name);
};
const stepOf = (plan: RecipePlan, name: string): StepSpec | undefined =>
  plan.state === 'ok' ? plan.steps.find((step) => step.name === name) : undefined;

describe('the fallback', () => {
  const video = { ...VIDEO, encoder: 'auto:h264', crf: 18, width: 1280 };

  test('is a step that stands in for the encoding, with the same pictures in software', () => {
    const plan = transcodeSteps({ ...REQUEST, video }, TWO);
    expect(namesOf(plan)).toEqual([
      'split',
      'encode',
      'audio',
      'encode-software',
      'concat',
      'proof',
    ]);
    const encode = stepOf(plan, 'encode');
    const software = stepOf(plan, 'encode-software');
    expect(software).toMatchObject({
      insteadOf: 'encode',
      parameters: encode?.parameters,
      inputs: encode?.inputs,
      outputs: encode?.outputs,
      demand: { encoderSessions: 0, attributes: ['tool:ffmpeg', 'encoder:libx264'] },
      task: { kind: { value: { inPlaceOf: 'h264_nvenc' } } },
    });
    expect(encode?.task?.kind?.value).toEqual({
      video: { ...video, encoder: 'h264_nvenc', crf: 22, preset: 'p5', threads: 1 },
    });
    expect(software?.task?.kind?.value).toMatchObject({
      video: { ...video, encoder: 'libx264', crf: 18, preset: 'medium', threads: 1 },
    });
  });

  test('is not there where it is forbidden, nor for a named encoder unless it is allowed', () => {
    const plain = ['split', 'encode', 'audio', 'concat', 'proof'];
    expect(namesOf(transcodeSteps({ ...REQUEST, video, fallback: false }, TWO))).toEqual(plain);
    const named = { ...VIDEO, encoder: 'hevc_vaapi', crf: 30 };
    expect(namesOf(transcodeSteps({ ...REQUEST, video: named }))).toEqual(plain);
    const allowed = transcodeSteps({ ...REQUEST, video: named, fallback: true });
    expect(stepOf(allowed, 'encode-software')?.task?.kind?.value).toMatchObject({
      video: { encoder: 'libx265', crf: 30, preset: 'medium' },
      inPlaceOf: 'hevc_vaapi',
    });
  });

  test('is for encoders of hardware', () => {
    const faultOf = (over: object): string | undefined => {
      const request = { ...REQUEST, fallback: true, video: { ...VIDEO, ...over } };
      const plan = transcodeSteps(request);
      return plan.state === 'invalid' ? plan.message : undefined;
    };
    expect(faultOf({ encoder: 'libx265' })).toBe(
      'a fallback is for encoders of hardware, and libx265 is none: leave it out',
    );
    expect(faultOf({})).toMatch(/none is named: leave it out$/);
    expect(faultOf({ encoder: 'h264_qsv', targetSsim: 0.9 })).toMatch(/^a target SSIM is found/);
  });

  test('measures for a bitrate without the card, too', () => {
    const plan = transcodeSteps(
      { ...REQUEST, video: { ...VIDEO, encoder: 'auto', bitrateBps: 4e6 } },
      TWO,
    );
    expect(namesOf(plan)).toContain('measure-software');
    expect(stepOf(plan, 'measure-software')).toMatchObject({
      insteadOf: 'measure',
      task: { kind: { value: { video: { encoder: 'libx264' } } } },
    });
  });

  test('each film of a ladder and of a folder has its own', () => {
    const rungs = [720, 360].map((lines) => ({ lines, maxBitrateBps: 0 }));
    const more = { name: '', container: '', pieceMs: 0 };
    const auto = { ...VIDEO, encoder: 'auto' };
    const ladder = ladderSteps({ source: SOURCE, video: auto, rungs, ...more }, TWO);
    expect(namesOf(ladder)).toContain('encode-software-360p');
    expect(stepOf(ladder, 'encode-software-360p')?.insteadOf).toBe('encode-360p');
    // The usual rungs have ceilings.
    const usual = ladderSteps({ source: SOURCE, video: auto, rungs: [], ...more }, TWO);
    expect(namesOf(usual).filter((name) => name.startsWith('encode-software'))).toEqual([]);
    expect(usual).toMatchObject({ notes: [expect.stringMatching(/ceiling/)] });
    const films = ['a.mp4', 'b.mp4'].map((film) => ({ source: { ...SOURCE, name: film }, film }));
    const folder = folderSteps({ films, video: auto, pieceMs: 0 }, TWO);
    expect(namesOf(folder)).toContain('encode-software-1');
    expect(folder).toMatchObject({ notes: [expect.stringMatching(/h264_nvenc/)] });
  });
});

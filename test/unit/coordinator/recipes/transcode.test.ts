import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import {
  transcodeSteps,
  type TranscodeRequest,
} from '../../../../coordinator/recipes/transcode.ts';

const SOURCE = { name: 'holiday.mov', sha256: 'a'.repeat(64), sizeBytes: 1_000_000 };
const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };
const AAC = { encoder: 'aac', bitrateBps: 0 };
const REQUEST: TranscodeRequest = { source: SOURCE, film: '', pieceMs: 0 };

function stepsOf(request: TranscodeRequest) {
  const plan = transcodeSteps(request);
  if (plan.state !== 'ok') throw new Error(plan.message);
  return new Map(plan.steps.map((step) => [step.name, step]));
}

function faultOf(request: Partial<TranscodeRequest>): string {
  const plan = transcodeSteps({ ...REQUEST, ...request });
  if (plan.state === 'ok') throw new Error('it was taken');
  return plan.message;
}

describe('the recipe transcode', () => {
  test('makes steps that the domain takes', () => {
    const plan = transcodeSteps(REQUEST);
    if (plan.state !== 'ok') throw new Error(plan.message);
    expect(faultOfSteps(plan.steps)).toBeUndefined();
    expect(plan.steps.map((step) => step.name)).toEqual([
      'split',
      'encode',
      'audio',
      'concat',
      'proof',
    ]);
  });

  test('fills in what was not said', () => {
    const steps = stepsOf(REQUEST);
    expect(steps.get('encode')?.task?.kind?.value).toEqual({
      video: { ...VIDEO, encoder: 'libx264', crf: 20, preset: 'medium', threads: 1 },
    });
    expect(steps.get('concat')?.task?.kind?.value).toEqual({
      source: 'holiday.mov',
      film: 'holiday.mp4',
    });
    expect(steps.get('split')?.task?.kind?.value).toMatchObject({ pieceMs: 10_000 });
  });

  test('pieces are sized for the agents at hand, unless a length or a bitrate is asked for', () => {
    const splitOf = (request: Partial<TranscodeRequest>, units: number): unknown => {
      const plan = transcodeSteps({ ...REQUEST, ...request }, [], ({ cpuMillis, attributes }) =>
        cpuMillis === 1000 && attributes.includes('encoder:libx264') ? units : -1,
      );
      if (plan.state !== 'ok') throw new Error(plan.message);
      return plan.steps.find(({ name }) => name === 'split')?.task?.kind?.value;
    };
    expect(splitOf({}, 12)).toMatchObject({ pieceMs: 10_000, unitsAtOnce: 12 });
    expect(splitOf({}, 0)).not.toHaveProperty('unitsAtOnce');
    expect(splitOf({ pieceMs: 4000 }, 12)).not.toHaveProperty('unitsAtOnce');
    const video = { ...VIDEO, bitrateBps: 4_000_000 };
    expect(splitOf({ video }, 12)).not.toHaveProperty('unitsAtOnce');
  });

  test('pieces begin by time or by scene', () => {
    const split = (pieceBy: string) =>
      stepsOf({ ...REQUEST, pieceBy }).get('split')?.task?.kind?.value;
    expect(split('scene')).toMatchObject({ pieceBy: 'scene' });
    expect(split('time')).not.toHaveProperty('pieceBy');
    expect(faultOf({ pieceBy: 'chapter' })).toBe(
      'pieces by "chapter" are not known: use time or scene',
    );
  });

  test('other frames are cut for, and asked of the encoder', () => {
    const deinterlace = { always: false, eachField: true };
    const video = { ...VIDEO, toSdr: true };
    const steps = stepsOf({ ...REQUEST, video, fps: '30000/1001', deinterlace });
    expect(steps.get('split')?.task?.kind?.value).toMatchObject({
      retime: { rateNum: 30_000, rateDen: 1001, factor: 0, between: false },
      deinterlace,
    });
    expect(steps.get('encode')?.task?.kind?.value).toMatchObject({ video: { toSdr: true } });
    expect(faultOf({ fps: '29.97' })).toBe('fps 29.97 is not exact: use 30000/1001');
  });

  test('a bitrate has its pieces measured, and their shares lie beside each', () => {
    const plan = transcodeSteps({ ...REQUEST, video: { ...VIDEO, bitrateBps: 4_000_000 } });
    if (plan.state !== 'ok') throw new Error(plan.message);
    expect(faultOfSteps(plan.steps)).toBeUndefined();
    const steps = new Map(plan.steps.map((step) => [step.name, step]));
    expect(steps.get('measure')?.parameters).toEqual(steps.get('encode')?.parameters);
    expect(steps.get('encode')?.dependsOn).toEqual(['split', 'rates']);
    expect(steps.get('proof')?.dependsOn).toContain('rates');
  });

  test('pieces too short for encoders to come out at a bitrate', () => {
    const video = { ...VIDEO, bitrateBps: 4_000_000 };
    expect(faultOf({ video, pieceMs: 2000 })).toMatch(/too short for a bitrate: use 4000 or more/);
  });

  test('a likeness has its quality looked for', () => {
    const plan = transcodeSteps({ ...REQUEST, video: { ...VIDEO, targetSsim: 0.97 } });
    if (plan.state !== 'ok') throw new Error(plan.message);
    expect(faultOfSteps(plan.steps)).toBeUndefined();
    expect(plan.steps.map(({ name }) => name)).toContain('quality');
  });

  test.each([
    [{ crf: 20, bitrateBps: 1_000_000 }, 'crf and a bitrate exclude one another: give one of them'],
    [{ bitrateBps: 1 }, /video bitrate 1 is out of range/],
    [{ targetSsim: 1 }, /target SSIM 1 is out of range/],
  ])('refuses %o', (video, message) => {
    expect(faultOf({ video: { ...VIDEO, ...video } })).toMatch(message);
  });

  test('an encoder of hardware books one of its sessions', () => {
    const steps = stepsOf({ ...REQUEST, video: { ...VIDEO, encoder: 'hevc_nvenc' } });
    expect(steps.get('encode')?.demand).toMatchObject({ encoderSessions: 1 });
    expect(steps.get('encode')?.demand?.attributes).toContain('encoder:hevc_nvenc');
    expect(stepsOf(REQUEST).get('encode')?.demand?.encoderSessions).toBe(0);
    expect(faultOf({ video: { ...VIDEO, encoder: 'av1_videotoolbox' } })).toMatch(/is not known/);
    expect(faultOf({ video: { ...VIDEO, encoder: 'h264_vaapi', preset: 'fast' } })).toBe(
      'h264_vaapi has no presets: leave it out',
    );
  });

  test('webm gets encoders that it takes', () => {
    const steps = stepsOf({ ...REQUEST, film: 'holiday.webm' });
    expect(steps.get('encode')?.demand?.attributes).toContain('encoder:libvpx-vp9');
    expect(steps.get('audio')?.task?.kind?.value).toMatchObject({ audio: { encoder: 'libopus' } });
  });

  test('threads are booked as CPUs', () => {
    const steps = stepsOf({ ...REQUEST, video: { ...VIDEO, threads: 4 } });
    expect(steps.get('encode')?.demand?.cpuMillis).toBe(4000);
  });

  test('only the film and its proof are kept', () => {
    const kept = [...stepsOf(REQUEST).values()]
      .flatMap((step) => step.outputs)
      .filter((output) => output.keep)
      .map((output) => output.pattern);
    expect(kept).toEqual(['holiday.mp4', 'proof.json']);
  });

  test.each(['sample-5s.mp4', 'audio-take.mkv', 'clips-2.mov', 'chunk-norris.mp4', 'piece.mp4'])(
    'a film may be called %s',
    (film) => {
      expect(transcodeSteps({ ...REQUEST, film })).toMatchObject({ state: 'ok' });
    },
  );

  test.each(['film.mp4', 'plan.json', 'chunk-1.mp4', 'audio.mka'])(
    'a source named %s does not meet what the units write',
    (name) => {
      const steps = stepsOf({ ...REQUEST, source: { ...SOURCE, name }, film: 'film.mp4' });
      expect(steps.get('concat')?.task?.kind?.value).toMatchObject({ source: `source-${name}` });
    },
  );

  test('a source named as the film keeps its name where failures speak of it', () => {
    const steps = stepsOf({
      ...REQUEST,
      source: { ...SOURCE, name: 'film.mp4' },
      film: 'film.mp4',
    });
    for (const name of ['split', 'audio']) {
      expect(steps.get(name)?.task?.kind?.value).toMatchObject({ source: 'film.mp4' });
      expect(steps.get(name)?.inputs[0]?.kind?.value).toMatchObject({ name: 'film.mp4' });
    }
    for (const name of ['concat', 'proof']) {
      expect(steps.get(name)?.task?.kind?.value).toMatchObject({ source: 'source-film.mp4' });
      expect(steps.get(name)?.inputs[0]?.kind?.value).toMatchObject({ name: 'source-film.mp4' });
    }
  });

  test('folders of the source’s name are left behind', () => {
    const steps = stepsOf({ ...REQUEST, source: { ...SOURCE, name: 'clips/a.b/c.mov' } });
    expect(steps.get('concat')?.task?.kind?.value).toEqual({ source: 'c.mov', film: 'c.mp4' });
  });

  test.each<[string, Partial<TranscodeRequest>, RegExp]>([
    ['no source', { source: undefined }, /source is missing/],
    ['an empty source', { source: { ...SOURCE, sizeBytes: 0 } }, /holiday\.mov is empty/],
    ['a source outside', { source: { ...SOURCE, name: '../a.mp4' } }, /leaves its directory/],
    ['control characters', { film: 'a\nb.mp4' }, /control characters/],
    ['a film elsewhere', { film: '../a.mp4' }, /leaves its directory/],
    ['a film in a folder', { film: 'a/b.mp4' }, /slash/],
    ['a pattern for a film', { film: '*.mp4' }, /has a \*/],
    ['a name of the farm’s own', { film: 'chunk-1.mp4' }, /the farm itself uses/],
    ['no container', { film: 'film' }, /must end in \.mp4/],
    ['an unknown container', { film: 'film.wmv' }, /must end in \.mp4/],
    ['an unknown encoder', { video: { ...VIDEO, encoder: 'libxvid' } }, /use libx264, libx265/],
    [
      'an encoder that webm refuses',
      { film: 'a.webm', video: { ...VIDEO, encoder: 'libx264' } },
      /\.webm does not take libx264: use mp4, mov, mkv/,
    ],
    ['a crf out of range', { video: { ...VIDEO, crf: 52 } }, /crf 52 .* use 1 to 51/],
    ['an unknown preset', { video: { ...VIDEO, preset: 'warp' } }, /preset "warp"/],
    ['an odd width', { video: { ...VIDEO, width: 321 } }, /width 321 must be even/],
    ['a picture beyond 8K', { video: { ...VIDEO, width: 8192, height: 8192 } }, /beyond 8K/],
    ['too many threads', { video: { ...VIDEO, threads: 65 } }, /threads 65/],
    ['an unknown audio encoder', { audio: { encoder: 'mp2', bitrateBps: 0 } }, /use aac/],
    ['AAC in webm', { film: 'a.webm', audio: { encoder: 'aac', bitrateBps: 0 } }, /does not take/],
    ['a bitrate for a copy', { audio: { encoder: 'copy', bitrateBps: 9000 } }, /leave it 0/],
    ['a tiny bitrate', { audio: { encoder: 'aac', bitrateBps: 12 } }, /8000 to 1000000/],
    [
      'a language that is none',
      { audio: { ...AAC, tracks: { first: false, languages: ['eng', 'x y'] } } },
      /audio language "x y" is none/,
    ],
    [
      'tracks of a film without sound',
      { audio: { encoder: 'none', bitrateBps: 0, tracks: { first: true, languages: [] } } },
      /without sound/,
    ],
    ['a bitrate without sound', { audio: { encoder: 'none', bitrateBps: 9000 } }, /leave it 0/],
    ['tiny pieces', { pieceMs: 10 }, /piece length 10 ms/],
  ])('refuses %s', (_what, request, message) => {
    const fault = faultOf(request);
    expect(fault).toMatch(message);
    expect(fault).not.toMatch(/\n/);
  });
});

/** The smaller film recipes: steps that the domain takes, and one line for what cannot be. */
import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { audioSteps, type AudioRequest } from '../../../../coordinator/recipes/audio.ts';
import { concatSteps, type ConcatRequest } from '../../../../coordinator/recipes/concat.ts';
import { proxySteps, type ProxyRequest } from '../../../../coordinator/recipes/proxy.ts';
import type { RecipePlan } from '../../../../coordinator/recipes/recipe.ts';
import {
  stabilizeSteps,
  type StabilizeRequest,
} from '../../../../coordinator/recipes/stabilize.ts';
import {
  thumbnailSteps,
  type ThumbnailsRequest,
} from '../../../../coordinator/recipes/thumbnails.ts';
import { transcodeSteps } from '../../../../coordinator/recipes/transcode.ts';

const source = { name: 'clips/holiday.mov', sha256: 'a'.repeat(64), sizeBytes: 1_000_000 };

function stepsOf(plan: RecipePlan) {
  if (plan.state !== 'ok') throw new Error(plan.message);
  expect(faultOfSteps(plan.steps)).toBeUndefined();
  return new Map(plan.steps.map((step) => [step.name, step]));
}

function faultOf(plan: RecipePlan): string {
  if (plan.state === 'ok') throw new Error('it was taken');
  expect(plan.message).not.toContain('\n');
  return plan.message;
}

describe('proxy', () => {
  const request: ProxyRequest = { source, format: '', longestSide: 0, film: '', pieceMs: 0 };

  test('goes the way of every film, with a timecode', () => {
    const steps = stepsOf(proxySteps(request));
    expect([...steps.keys()]).toEqual(['split', 'encode', 'audio', 'concat', 'proof']);
    expect(steps.get('encode')?.task?.kind?.value).toEqual({ format: 'h264', longestSide: 960 });
    expect(steps.get('concat')?.task?.kind?.value).toMatchObject({
      film: 'holiday-proxy.mp4',
      timecode: true,
    });
  });

  test.each<[Partial<ProxyRequest>, string]>([
    [{ format: 'gif' }, 'proxy format "gif" is not known: use h264'],
    [{ format: 'prores', film: 'a.mp4' }, 'must end in .mov, .mkv'],
    [{ longestSide: 10 }, 'longest side 10 is out of range'],
    [{ source: undefined }, 'source is missing'],
  ])('%j', (wrong, fault) => {
    expect(faultOf(proxySteps({ ...request, ...wrong }))).toContain(fault);
  });
});

describe('a proxy besides', () => {
  const transcode = (overBytes: number) =>
    transcodeSteps({
      source,
      film: '',
      pieceMs: 0,
      withProxy: { overBytes, format: '', longestSide: 0 },
    });

  test('of a large film only, under names of its own, and before the pieces are encoded', () => {
    expect(stepsOf(transcode(1_000_000)).has('proxy-split')).toBe(false);
    const steps = stepsOf(transcode(999_999));
    expect(steps.get('encode')?.dependsOn).toEqual(['split', 'proxy-encode']);
    expect(steps.get('proxy-encode')?.dependsOn).toEqual(['proxy-split']);
    const kept = [...steps.values()].flatMap(({ outputs }) => outputs.filter(({ keep }) => keep));
    expect(kept.map(({ pattern }) => pattern).toSorted()).toEqual([
      'holiday-proxy.mp4',
      'holiday-proxy.mp4.proof.json',
      'holiday.mp4',
      'proof.json',
    ]);
  });

  test('whose format is none is refused with the job', () => {
    const withProxy = { overBytes: 0, format: 'gif', longestSide: 0 };
    const plan = transcodeSteps({ source, film: '', pieceMs: 0, withProxy });
    expect(faultOf(plan)).toContain('proxy format "gif"');
  });
});

describe('stabilize', () => {
  const request: StabilizeRequest = {
    source,
    film: '',
    pieceMs: 0,
    smoothingMs: 0,
    shakiness: 0,
    edges: '',
    zoomMilliPercent: 0,
  };

  test('measures all pieces before it encodes any', () => {
    const steps = stepsOf(stabilizeSteps(request));
    expect(steps.get('detect')?.dependsOn).toEqual(['split']);
    expect(steps.get('smooth')?.dependsOn).toEqual(['split', 'detect']);
    expect(steps.get('encode')?.dependsOn).toEqual(['split', 'smooth']);
    expect(steps.get('encode')?.task?.kind?.value).toMatchObject({ steady: true });
    expect(steps.get('smooth')?.task?.kind?.value).toEqual({
      smoothingMs: 500,
      zoomMilliPercent: 0,
      crop: true,
      shakiness: 5,
    });
    expect(steps.get('encode')?.demand?.attributes).toContain('filter:vidstabdetect');
  });

  test.each<[Partial<StabilizeRequest>, string]>([
    [{ edges: 'mirror' }, 'edges "mirror" are not known: use crop or black'],
    [{ smoothingMs: 1 }, 'smoothing 1 ms is out of range'],
    [{ shakiness: 11 }, 'shakiness 11 is none'],
    [{ zoomMilliPercent: 50_000 }, 'zoom of 50 % is out of range'],
    [{ film: 'a.avi' }, 'must end in'],
  ])('%j', (wrong, fault) => {
    expect(faultOf(stabilizeSteps({ ...request, ...wrong }))).toContain(fault);
  });
});

describe('thumbnails', () => {
  const request: ThumbnailsRequest = { source, format: '' };
  const sprites = { intervalMs: 0, width: 0, columns: 0, rows: 0 };

  test('all three, unless one is named', () => {
    const all = stepsOf(thumbnailSteps(request)).get('pictures');
    expect(all?.outputs.map(({ pattern }) => pattern)).toEqual([
      'sheet.jpg',
      'sprite-*.jpg',
      'thumbnails.vtt',
      'poster.jpg',
      'pictures.json',
    ]);
    const one = stepsOf(thumbnailSteps({ ...request, poster: { atMs: 5 }, format: 'png' }));
    expect(one.get('pictures')?.outputs.map(({ pattern }) => pattern)).toEqual([
      'poster.png',
      'pictures.json',
    ]);
  });

  test('a film that is called as a picture gives way', () => {
    const steps = stepsOf(
      thumbnailSteps({ ...request, source: { ...source, name: 'poster.jpg' } }),
    );
    expect(steps.get('pictures')?.task?.kind?.value).toMatchObject({ source: 'film/poster.jpg' });
  });

  test.each<[Partial<ThumbnailsRequest>, string]>([
    [{ format: 'gif' }, 'picture format "gif" is not known'],
    [{ sprites: { ...sprites, intervalMs: 50 } }, 'a picture each 50 ms'],
    [{ sprites: { ...sprites, width: 161 } }, 'use an even number'],
    [{ sprites: { ...sprites, columns: 100, width: 200 } }, 'is too wide'],
  ])('%j', (wrong, fault) => {
    expect(faultOf(thumbnailSteps({ ...request, ...wrong }))).toContain(fault);
  });
});

describe('audio', () => {
  const request: AudioRequest = { source, sound: '', tracks: [] };
  const coding = { encoder: '', bitrateBps: 0, channels: 0, sampleRate: 0 };

  test('the container chooses the encoder', () => {
    const encoderOf = (sound: string): unknown =>
      stepsOf(audioSteps({ ...request, sound })).get('sound')?.task?.kind?.value;
    expect(encoderOf('')).toMatchObject({ sound: 'holiday.m4a', coding: { encoder: 'aac' } });
    expect(encoderOf('a.flac')).toMatchObject({ coding: { encoder: 'flac' } });
    expect(encoderOf('a.mp3')).toMatchObject({ coding: { encoder: 'libmp3lame' } });
  });

  test('a source that is called as a sound gives way', () => {
    const named = { ...source, name: 'talk-1.flac' };
    const steps = stepsOf(audioSteps({ ...request, source: named, sound: 'talk.flac' }));
    expect(steps.get('sound')?.task?.kind?.value).toMatchObject({ source: 'film/talk-1.flac' });
  });

  test.each<[Partial<AudioRequest>, string]>([
    [{ sound: 'a.aiff' }, 'must end in .m4a'],
    [
      { sound: 'a.mp3', coding: { ...coding, encoder: 'aac' } },
      '.mp3 does not take "aac": use libmp3lame, copy',
    ],
    [{ coding: { ...coding, encoder: 'copy', channels: 1 } }, 'copied sound stays as it is'],
    [{ sound: 'a.flac', coding: { ...coding, bitrateBps: 128_000 } }, 'flac loses nothing'],
    [
      { coding: { ...coding, loudness: { targetLufs: 3, truePeakDbtp: -1 } } },
      'a loudness of 3 LUFS',
    ],
    [
      { coding: { ...coding, loudness: { targetLufs: -16, truePeakDbtp: 2 } } },
      'a true peak of 2 dBTP',
    ],
    [{ tracks: [0] }, 'track 0 is none: the first is 1'],
    [{ tracks: [1, 1] }, 'a track is named twice'],
    [{ sound: 'a.opus', coding: { ...coding, sampleRate: 44_100 } }, 'libopus takes no 44100'],
    [{ sound: 'sound.wav' }, 'is one that the farm itself uses'],
  ])('%j', (wrong, fault) => {
    expect(faultOf(audioSteps({ ...request, ...wrong }))).toContain(fault);
  });
});

describe('concat', () => {
  const request: ConcatRequest = {
    clips: [source, { ...source, name: 'two.mp4' }, source],
    film: '',
    frameRate: '',
    sampleRate: 0,
    channels: 0,
  };

  test('keeps the order, whatever the clips are called', () => {
    const steps = stepsOf(concatSteps(request));
    expect([...steps.keys()]).toEqual(['survey', 'normalise', 'audio', 'concat', 'proof']);
    expect(steps.get('survey')?.task?.kind?.value).toMatchObject({
      clips: [
        { source: 'source-00000', name: 'holiday.mov' },
        { source: 'source-00001', name: 'two.mp4' },
        { source: 'source-00002', name: 'holiday.mov' },
      ],
    });
    expect(steps.get('concat')?.task?.kind?.value).toMatchObject({
      source: '',
      film: 'holiday-joined.mp4',
    });
  });

  test.each<[Partial<ConcatRequest>, string]>([
    [{ clips: [source] }, '1 clips: give at least two'],
    [{ frameRate: '25fps' }, 'frame rate "25fps" is none'],
    [{ frameRate: '1000/1' }, 'use 1 to 240 frames a second'],
    [{ channels: 6 }, '6 channels'],
    [{ film: 'a.avi' }, 'must end in'],
    [{ audio: { encoder: 'copy', bitrateBps: 0 } }, 'sound that is joined is encoded anew'],
  ])('%j', (wrong, fault) => {
    expect(faultOf(concatSteps({ ...request, ...wrong }))).toContain(fault);
  });
});

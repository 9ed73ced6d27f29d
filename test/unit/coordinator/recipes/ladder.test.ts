import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { ladderSteps, type LadderRequest } from '../../../../coordinator/recipes/ladder.ts';

const SOURCE = { name: 'clips/holiday.mov', sha256: 'a'.repeat(64), sizeBytes: 1_000_000 };
const REQUEST: LadderRequest = { source: SOURCE, name: '', container: '', pieceMs: 0, rungs: [] };
const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };

describe('the recipe ladder', () => {
  const plan = ladderSteps({
    ...REQUEST,
    rungs: [
      { lines: 720, maxBitrateBps: 3_000_000 },
      { lines: 360, maxBitrateBps: 0 },
    ],
  });
  const steps = plan.state === 'ok' ? plan.steps : [];

  test('splits once, and makes and proves each rung by itself', () => {
    expect(faultOfSteps(steps)).toBeUndefined();
    expect(steps.map(({ name }) => name)).toEqual([
      'split',
      'audio',
      'encode-720p',
      'concat-720p',
      'proof-720p',
      'encode-360p',
      'concat-360p',
      'proof-360p',
    ]);
    const from = (name: string) =>
      steps.find((step) => step.name === name)?.parameters?.kind?.value;
    expect(from('encode-720p')).toEqual(from('encode-360p'));
  });

  test('tells rungs apart by lines and rate, and makes the lowest always', () => {
    const encode = (name: string) => steps.find((step) => step.name === name)?.task?.kind?.value;
    expect(encode('encode-720p')).toMatchObject({
      video: { maxBitrateBps: 3_000_000, width: 0, height: 0 },
      branch: { lines: 720, always: false },
    });
    expect(encode('encode-360p')).toMatchObject({ branch: { lines: 360, always: true } });
  });

  test('keeps films and proofs under names of their own; what may be left out is optional', () => {
    const kept = steps.flatMap(({ outputs }) => outputs.filter(({ keep }) => keep));
    expect(kept.map(({ pattern, optional }) => [pattern, optional])).toEqual([
      ['holiday-720p.mp4', true],
      ['holiday-720p.proof.json', true],
      ['holiday-360p.mp4', false],
      ['holiday-360p.proof.json', false],
    ]);
  });

  test('has rungs of its own', () => {
    const usual = ladderSteps(REQUEST);
    const names = usual.state === 'ok' ? usual.steps.map(({ name }) => name) : [];
    expect(names.filter((name) => name.startsWith('proof'))).toEqual([
      'proof-1080p',
      'proof-720p',
      'proof-480p',
      'proof-360p',
    ]);
  });

  const rung = (lines: number, maxBitrateBps = 0) => ({ rungs: [{ lines, maxBitrateBps }] });
  test.each<[string, Partial<LadderRequest>, RegExp]>([
    ['no source', { source: undefined }, /source is missing/],
    ['an empty source', { source: { ...SOURCE, sizeBytes: 0 } }, /is empty/],
    ['a rung of odd lines', rung(361), /rung 361p must be even/],
    ['a rung of few lines', rung(2), /from 96 to 4320/],
    [
      'a rung twice',
      { rungs: [...rung(360).rungs, ...rung(360).rungs] },
      /two rungs have 360 lines/,
    ],
    ['a rate of nothing', rung(360, 12), /rung 360p: a ceiling of 12 bits/],
    [
      'a rate for AV1',
      { ...rung(360, 1e6), video: { ...VIDEO, encoder: 'libsvtav1' } },
      /takes no/,
    ],
    [
      'a ceiling for hardware',
      { ...rung(360, 1e6), video: { ...VIDEO, encoder: 'h264_nvenc' } },
      /takes no/,
    ],
    ['a bitrate of all', { video: { ...VIDEO, bitrateBps: 1e6 } }, /is for one film/],
    ['a size', { video: { ...VIDEO, width: 320 } }, /each rung’s own/],
    ['a container', { container: 'avi' }, /container "avi" is not known/],
    ['a name that is a path', { name: 'a/b' }, /has a slash/],
    ['a name of the farm’s', { name: 'fault' }, /that the farm uses/],
  ])('refuses %s', (_what, request, message) => {
    const refused = ladderSteps({ ...REQUEST, ...request });
    if (refused.state === 'ok') throw new Error('it was taken');
    expect(refused.message).toMatch(message);
    expect(refused.message).not.toMatch(/\n/);
  });
});

import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { ladderSteps, type LadderRequest } from '../../../../coordinator/recipes/ladder.ts';

const REQUEST: LadderRequest = {
  source: { name: 'clips/holiday.mov', sha256: 'a'.repeat(64), sizeBytes: 1_000_000 },
  name: '',
  container: '',
  pieceMs: 0,
  rungs: [
    { lines: 720, maxBitrateBps: 0 },
    { lines: 360, maxBitrateBps: 0 },
  ],
  packaging: { hls: true, dash: false },
};
const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };

describe('a ladder that is packaged', () => {
  const plan = ladderSteps(REQUEST);
  const steps = plan.state === 'ok' ? plan.steps : [];
  const step = (name: string) => steps.find((one) => one.name === name);

  test('has its folder made of all films, and proven', () => {
    expect(faultOfSteps(steps)).toBeUndefined();
    expect(step('package')?.dependsOn).toEqual(['split', 'concat-720p', 'concat-360p']);
    expect(step('package')?.task?.kind).toEqual({
      $case: 'packageFilms',
      value: {
        name: 'holiday',
        films: [
          { film: 'holiday-720p.mp4', lines: 720 },
          { film: 'holiday-360p.mp4', lines: 360 },
        ],
        packaging: { hls: true, dash: false },
        pieceMs: 6000,
      },
    });
    const kept = ['package', 'proof-package'].flatMap((name) => step(name)?.outputs ?? []);
    expect(kept).toEqual([
      { pattern: 'holiday/*', keep: true, optional: false },
      { pattern: 'holiday/proof.json', keep: true, optional: false },
    ]);
  });

  test.each<[string, Partial<LadderRequest>, RegExp]>([
    ['as nothing', { packaging: { hls: false, dash: false } }, /neither hls nor dash/],
    ['in Matroska', { container: 'mkv' }, /made of films in mp4, not mkv/],
    [
      'in AV1',
      { video: { ...VIDEO, encoder: 'libsvtav1' } },
      /H\.264 or HEVC, not what "libsvtav1"/,
    ],
    ['with Opus', { audio: { encoder: 'libopus', bitrateBps: 0 } }, /AAC, not what "libopus"/],
    ['under a name of the farm', { name: 'plan.json' }, /"plan.json" is one that the farm uses/],
  ])('%s is refused', (_, other, message) => {
    const refused = ladderSteps({ ...REQUEST, ...other });
    expect(refused).toMatchObject({ state: 'invalid', message: expect.stringMatching(message) });
  });
});

import { describe, expect, test } from 'vitest';
import type { MadePictures } from '../../../../../agent/runners/film/made-pictures.ts';
import { vttChecks } from '../../../../../agent/runners/film/prove-thumbnails.ts';

const MADE: MadePictures = {
  version: 1,
  durationSeconds: 4,
  delaySeconds: 0,
  frames: 100,
  pictures: [{ name: 'sprite-000.jpg', width: 320, height: 90, meanGrey: 100 }],
  sprites: { cues: 2, intervalMs: 2000 },
};
const cue = (from: string, to: string, place: string): string =>
  `${from} --> ${to}\nsprite-000.jpg#xywh=${place}\n`;
const FIRST = cue('00:00:00.000', '00:00:02.000', '0,0,160,90');
const SECOND = cue('00:00:02.000', '00:00:04.000', '160,0,160,90');

function finding(...cues: readonly string[]): string | undefined {
  const checks = vttChecks(`WEBVTT\n\n${cues.join('\n')}`, MADE);
  return checks.find((check) => check.finding !== undefined)?.finding;
}

describe('the list of a film’s small pictures', () => {
  test('that covers the film is proven', () => {
    expect(finding(FIRST, SECOND)).toBeUndefined();
  });

  test.each([
    [[FIRST], 'has 1 cues, not 2'],
    [[FIRST, SECOND.replace('00:00:02.000', '00:00:02.500')], 'not where the last one ended'],
    [[FIRST, SECOND.replace('00:00:04.000', '00:00:03.000')], 'ends at 3 s, the film at 4.000 s'],
    [[FIRST, SECOND.replace('160,0', '161,0')], '1 cues name a place that no sheet has'],
    [[FIRST, SECOND.replace('sprite-000', 'sprite-001')], '1 cues name a place'],
    [[FIRST, 'NOTE nothing\n'], '1 cues name a place'],
  ])('%#', (cues, words) => {
    const checks = vttChecks(`WEBVTT\n\n${cues.join('\n')}`, MADE);
    expect(checks.map((check) => check.finding ?? '').join('; ')).toContain(words);
  });

  test('is no other text', () => {
    expect(vttChecks('', MADE)[0]?.finding).toBe('thumbnails.vtt does not begin as WebVTT');
  });
});

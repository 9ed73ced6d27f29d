import { expect, test } from 'vitest';
import { demoLines } from '../../../../cli/output/demo-text.ts';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import { textWidth } from '../../../../cli/output/text-width.ts';
import type { DemoReport } from '../../../../cli/report.ts';

const file = (name: string) => ({
  name,
  path: `/home/me/furrow-demo/${name}`,
  sha256: '',
  sizeBytes: 4_254_557,
});

const report: DemoReport = {
  kind: 'demo',
  source: 'demo.mp4',
  sourceFrames: 900,
  film: file('demo.mp4'),
  filmFrames: 900,
  proof: file('demo.proof.json'),
  chunks: 15,
  plannedFrames: 900,
  checks: 9,
  checksHeld: 9,
  chunksBy: { 'box-2': 2, 'box-1': 13 },
  kill: { agent: 'box-2', atMs: 12_000, chunksDone: 4 },
  losses: [
    {
      unit: 'encode/4',
      agent: 'box-2',
      lostAtMs: 15_100,
      again: { agent: 'box-1', attempt: 2, atMs: 15_200 },
    },
  ],
  leaseTtlMs: 3_000,
  submittedAtMs: 0,
  endedAtMs: 23_000,
  tookMs: 31_000,
};

const lines = (over: Partial<DemoReport> = {}, columns?: number): string[] =>
  demoLines({ ...report, ...over }, PLAIN_STYLE, columns);

test('one line a fact, and where the film is', () => {
  expect(lines()).toEqual([
    '',
    'chunks   15, encoded 13 by box-1 and 2 by box-2',
    'killed   box-2 with kill -9 after 12s, when 4 of 15 chunks were done',
    'lost     encode/4 of box-2, noticed after 3.1s; given to box-1 3.2s after the kill (attempt 2)',
    'frames   900 in the source, 900 in the film (counted by ffprobe)',
    'proof    9 of 9 checks hold',
    'film     demo.mp4, 4.1 MiB',
    'time     31s in all, 23s of it for the job',
    '',
    'The film: /home/me/furrow-demo/demo.mp4',
    'The proof: /home/me/furrow-demo/demo.proof.json',
    'The demo has ended, and nothing of it is left running.',
  ]);
});

test('a narrow screen wraps words, and never the path that is to be copied', () => {
  const table = lines({}, 40).filter((line) => !line.startsWith('The '));
  expect(table.filter((line) => textWidth(line) > 40)).toEqual([]);
  expect(lines({}, 40)).toContain('The film: /home/me/furrow-demo/demo.mp4');
});

test('what did not happen is not claimed', () => {
  expect(lines({ kill: undefined, losses: [] }).join('\n')).toContain('killed   nobody');
  expect(lines({ losses: [] }).join('\n')).toContain('lost     nothing');
  expect(lines({ filmFrames: 899 }).join('\n')).toContain('frames   NOT THE SAME: 900');
});

/** What people, tools and strangers on the network write. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { durationMsOf } from '../../../kit/duration.ts';
import { answersFor, announcementsIn } from '../../../kit/farm-discovery.ts';
import { parseFarmAddress, parseFarmUrl } from '../../../kit/farm-url.ts';
import { messageOf } from '../../../kit/furrow-error.ts';
import { formatHours, parseHours } from '../../../kit/weekly-hours.ts';
import { parseStepsSpec } from '../../../cli/steps-spec.ts';
import { parseRange } from '../../../coordinator/http/range.ts';
import { GPU_FIELDS, readApps, readGpuLine } from '../../../agent/probe/nvidia-rows.ts';
import { progressReader } from '../../../agent/runners/film/progress-lines.ts';
import { damagedJson, damagedText, FUZZ_TIMEOUT_MS, neverCrashes } from '../../support/fuzz.ts';

const token = 'a'.repeat(43);
const farmUrl = `furrow://127.0.0.1:7400,[::1]:7400?ca=sha256:${'0f'.repeat(32)}&token=${token}`;

function refusalOf(work: () => unknown): string {
  try {
    work();
    return '';
  } catch (error) {
    return messageOf(error);
  }
}

test(
  'the URL of a farm, and its address',
  () => {
    neverCrashes(damagedText(farmUrl), parseFarmUrl);
    neverCrashes(damagedText('127.0.0.1:7400', '[::1]:7400'), parseFarmAddress);
    // Whatever is wrong with it, its secret is not shown.
    neverCrashes(damagedText(farmUrl), (text) => {
      expect(refusalOf(() => parseFarmUrl(text))).not.toContain(token);
    });
  },
  FUZZ_TIMEOUT_MS,
);

test.each([
  ['without its question mark', farmUrl.replace('?', '')],
  ['cut where the token begins', `furrow://127.0.0.1:7400?${token}`],
  ['with an address of three', farmUrl.replace(',', '&token=')],
])('a URL %s is refused, and its token not shown', (_, text) => {
  expect(() => parseFarmUrl(text)).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining(token) as string }),
  );
});

test(
  'hours of a week',
  () =>
    neverCrashes(
      damagedText('mon-fri 19:00-07:00; sat,sun 00:00-24:00', '22:00-07:00', 'sat-mon 1:00 - 2:00'),
      (text) => expect(parseHours(formatHours(parseHours(text)))).toEqual(parseHours(text)),
      600,
    ),
  FUZZ_TIMEOUT_MS,
);

test('durations', () => {
  neverCrashes(damagedText('90s', '1.5h', '2h30m', '100ms'), (text) => {
    expect(durationMsOf(text) ?? 0).toBeGreaterThanOrEqual(0);
  });
});

test('ranges of bytes', () => {
  const sizes = fc.nat({ max: Number.MAX_SAFE_INTEGER });
  const headers = damagedText('bytes=0-99', 'bytes=-5', 'bytes=5-', 'bytes=0-1,5-6');
  neverCrashes(
    fc.tuple(headers, sizes),
    ([header, sizeBytes]) => {
      const wanted = parseRange(header, sizeBytes);
      if (wanted.state !== 'part') return;
      const { start, end } = wanted.range;
      expect(start).toBeGreaterThanOrEqual(0);
      expect(end).toBeGreaterThanOrEqual(start);
      expect(end).toBeLessThan(sizeBytes);
    },
    1_000,
  );
});

const SPEC = {
  name: 'contact sheet',
  priority: 1,
  steps: [
    {
      name: 'grab',
      parameters: { values: { values: ['2', '8'] } },
      task: { command: { argv: ['ffmpeg', '-i', 'clip.mov'] } },
      inputs: [{ path: 'clip.mov' }, { outputs: { step: 'x', pattern: '*' } }],
      outputs: [{ pattern: 'frame-*.png', keep: true }],
      demand: { gpus: 1, vramBytes: 5 },
    },
  ],
};

test(
  'a document of steps',
  () =>
    neverCrashes(
      damagedJson(SPEC),
      (text) => {
        const spec = parseStepsSpec(text, '/folder/sheet.json');
        const file = { name: 'f', sha256: '0'.repeat(64), sizeBytes: 1 };
        spec.steps(spec.localInputs.map(() => file));
      },
      600,
    ),
  FUZZ_TIMEOUT_MS,
);

type Answer = Parameters<typeof announcementsIn>[0][number];

const [farmId, farmAddress, caSha256] = ['farm-1', '192.168.1.5:7400', '0f'.repeat(32)];

test('announcements on the network: none passes for proven that was tampered with', () => {
  const [pointer, service, text, address] = answersFor(
    { farmId, address: farmAddress, caSha256 },
    token,
    120,
  );
  const data = fc.oneof(
    fc.constantFrom(...(text as { data: string[] }).data),
    damagedText(...(text as { data: string[] }).data),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  );
  const texts = fc.record({
    name: fc.oneof(fc.constant(text!.name), fc.string({ unit: 'binary' })),
    type: fc.constant('TXT' as const),
    ttl: fc.nat(),
    data: fc.oneof(data, fc.array(data, { maxLength: 5 })),
  });
  const others = fc.constantFrom(pointer!, service!, address!);
  const packets = fc.array(fc.oneof(texts as fc.Arbitrary<Answer>, others), { maxLength: 6 });
  neverCrashes(
    packets,
    (answers) => {
      for (const each of announcementsIn(answers, token)) {
        const isOurs =
          each.farmId === farmId && each.address === farmAddress && each.caSha256 === caSha256;
        expect(each.isProven && !isOurs).toBe(false);
      }
    },
    1_000,
  );
});

test('what nvidia-smi and ffmpeg print', () => {
  const row = '0, GPU-1f2e, NVIDIA GeForce RTX 3080, 10240, 512, 9728, 30, 55, Default, 4, 1';
  neverCrashes(damagedText(row, '[N/A], [Unknown Error]', 'GPU is lost.'), (line) =>
    readGpuLine(line, GPU_FIELDS),
  );
  neverCrashes(damagedText('GPU-1f2e, 4711, 512\nGPU-1f2e, 4712, [N/A]\n'), readApps);
  const blocks = damagedText('frame=12\nfps=30.0\nout_time_us=400000\nprogress=continue\n');
  neverCrashes(blocks, (text) => {
    const read = progressReader(({ frame, fps, outTimeUs }) => {
      for (const each of [frame, fps, outTimeUs]) expect(Number.isFinite(each)).toBe(true);
    });
    for (const line of text.split('\n')) read(line);
  });
});

/**
 * Proves a film's pictures: each decodes, has its size and shows something; the WebVTT covers the film without a
 * gap, and every place that it names lies inside its sheet. Writes `proof.json`.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '../../../kit/proof-report.ts';
import { firstFinding, provenFile, writeProof } from '../proof-report.ts';
import { FilmFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { readMadePictures, type MadePictures } from './made-pictures.ts';
import { decodeLimitMs } from './media-limits.ts';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';

type Picture = MadePictures['pictures'][number];

const SMALL = 'small.gray';
const LINES = 'picture.txt';

/** The canvas's own grey: full range. */
const SMALL_GREY = 'scale=64:64:flags=area:out_range=pc,format=gray';
/** What coding may change in the mean. */
const MAX_GREY_ERROR = 4;

export const proveThumbnailsRunner = filmRunner('proveThumbnails', async (attempt) => {
  const { work, task, context } = attempt;
  const made = await readMadePictures(work.directory);
  const checks: Check[] = [];
  const files = [];
  for (const [i, picture] of made.pictures.entries()) {
    checks.push(...(await pictureChecks(attempt, picture)));
    files.push(await provenFile(work.directory, picture.name));
    context.progress((i + 1) / made.pictures.length, i + 1, '');
  }
  if (made.sprites !== undefined) {
    const name = 'thumbnails.vtt';
    const text = await readFile(join(work.directory, name), 'utf8').catch(() => '');
    checks.push(...vttChecks(text, made));
    files.push(await provenFile(work.directory, name));
  }
  const facts = {
    source: { name: task.source, frames: made.frames, seconds: made.durationSeconds },
    pictures: made.pictures.length,
  };
  await writeProof(work.directory, { files, checks, facts });
  const finding = firstFinding(checks);
  if (finding !== undefined) throw new FilmFault('bad-output', `not proven: ${finding}`);
});

async function pictureChecks(
  { media, work }: FilmAttempt<unknown>,
  { name, width, height, meanGrey }: Picture,
): Promise<Check[]> {
  const run = await media.ffmpeg(
    [{ name, picture: true }],
    [
      {
        name: { file: SMALL },
        options: ['-map', '0:v', '-vf', SMALL_GREY, '-f', 'rawvideo'],
      },
      { name: { file: LINES }, options: ['-map', '0:v', '-f', 'framecrc'] },
    ],
    undefined,
    { limitMs: decodeLimitMs(1, MAX_PIXELS) },
  );
  const lines = await take(work.directory, LINES);
  const small = await take(work.directory, SMALL);
  const size = /^#dimensions 0: (\d+x\d+)$/m.exec(lines.toString('latin1'))?.[1] ?? 'none';
  const complaint = run.complaints[0] ?? (run.ok ? undefined : 'ffmpeg failed');
  const mean = small.reduce((sum, level) => sum + level, 0) / Math.max(1, small.length);
  const isLike = Math.abs(mean - meanGrey) <= MAX_GREY_ERROR;
  return [
    {
      check: `size of ${name}`,
      expected: `${width}x${height}`,
      found: size,
      finding:
        complaint !== undefined
          ? `${name} does not decode: ${complaint}`
          : size === `${width}x${height}`
            ? undefined
            : `${name} is ${size}, not ${width}x${height}`,
    },
    // A film may be black at the time; a picture must be what was put together.
    {
      check: `mean grey level of ${name}`,
      expected: `${meanGrey.toFixed(1)} ±${MAX_GREY_ERROR}`,
      found: Number(mean.toFixed(1)),
      finding: isLike ? undefined : `${name} is not the picture that was put together`,
    },
  ];
}

async function take(directory: string, name: string): Promise<Buffer> {
  const path = join(directory, name);
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  await rm(path, { force: true });
  return bytes;
}

const CUE = /^(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/;

export function vttChecks(text: string, made: MadePictures): Check[] {
  const [head, ...blocks] = text.trimEnd().split('\n\n');
  const cues = blocks.map((block) => CUE.exec(block));
  const wanted = made.sprites?.cues ?? 0;
  let finding = head === 'WEBVTT' ? undefined : 'thumbnails.vtt does not begin as WebVTT';
  if (cues.length !== wanted) finding ??= `thumbnails.vtt has ${cues.length} cues, not ${wanted}`;
  let until = 0;
  let outside = 0;
  for (const cue of cues) {
    const [, from = '', to = '', name = '', ...numbers] = cue ?? [];
    const [x = NaN, y = NaN, width = NaN, height = NaN] = numbers.map(Number);
    const sheet = made.pictures.find((picture) => picture.name === name);
    const isInside =
      sheet !== undefined && x + width <= sheet.width && y + height <= sheet.height && width > 0;
    if (!isInside) outside += 1;
    if (secondsOfClock(from) !== until)
      finding ??= `a cue begins at ${from}, not where the last one ended`;
    until = secondsOfClock(to);
  }
  const end = made.durationSeconds + made.delaySeconds;
  if (Math.abs(until - end) > 1e-3) {
    finding ??= `thumbnails.vtt ends at ${until} s, the film at ${end.toFixed(3)} s`;
  }
  return [
    {
      check: 'cues without a gap, until the end (seconds)',
      expected: Number(end.toFixed(3)),
      found: until,
      finding,
    },
    {
      check: 'cues whose place is outside its sheet',
      expected: 0,
      found: outside,
      finding: outside === 0 ? undefined : `${outside} cues name a place that no sheet has`,
    },
  ];
}

/** `00:01:02.250`; NaN for any other text. */
function secondsOfClock(text: string): number {
  const [, hours, minutes, rest] = /^(\d+):(\d\d):(\d\d\.\d{3})$/.exec(text) ?? [];
  return (
    (Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Math.round(Number(rest) * 1000)) / 1000
  );
}

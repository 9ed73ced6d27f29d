/** When each frame of a film is shown: by its packets, or by decoding it where these do not say. */
import { FilmFault, processFault } from './film-fault.ts';
import type { FilmAttempt } from './film-runner.ts';
import {
  frameTimes,
  isSteady,
  readPackets,
  refuseEndless,
  refuseTruncated,
  tooManyFrames,
} from './frame-index.ts';
import { decodeLimitMs, MAX_FRAMES } from './media-limits.ts';
import type { MediaFacts, MediaStream } from './source-facts.ts';
import { startAnchor } from './start-anchor.ts';
import { parseTimeBase, type TimeBase } from './timeline.ts';

/** A clock that moves more than this between two packets has jumped. */
const MAX_STEP_SECONDS = 10;

export interface FilmTimes {
  readonly timeBase: TimeBase;
  /** Of all shown frames, ascending, in ticks. */
  readonly times: readonly number[];
  /** How long the last one is shown. */
  readonly lastFrameTicks: number;
  /** By the file's own packets, so that a seek finds them; else by ffmpeg's count from the start. */
  readonly ownClock: boolean;
}

/** Throws FilmFault `invalid-input` for a film without frames, cut short or without end. */
export async function readTimes(
  attempt: FilmAttempt<unknown>,
  name: string,
  picture: MediaStream,
  facts: MediaFacts,
): Promise<FilmTimes> {
  const { media } = attempt;
  const timeBase = parseTimeBase(picture.time_base);
  if (timeBase === undefined) throw new FilmFault('invalid-input', `${name} has no time base`);
  const index = await readPackets(media, name, String(picture.index));
  refuseTruncated(name, index);
  if (index.packets.length === 0) {
    throw new FilmFault('invalid-input', `${name} has a video stream without any frame`);
  }
  const steady = isSteady(index.packets, (MAX_STEP_SECONDS * timeBase.den) / timeBase.num);
  const own = steady ? frameTimes(index.packets) : undefined;
  const ownClock = own !== undefined && own.length > 0;
  const times = ownClock
    ? own
    : await decodedTimes(attempt, name, picture, timeBase, index.packets.length, facts);
  refuseEndless(name, times, timeBase);
  // Where packets say no times, what they say of their length counts in ticks of another kind.
  const said = ownClock ? index.packets.at(-1)!.duration : 0;
  return { timeBase, times, lastFrameTicks: said > 0 ? said : typicalStep(times), ownClock };
}

async function decodedTimes(
  { media, context }: FilmAttempt<unknown>,
  name: string,
  { index, width = 0, height = 0 }: MediaStream,
  { num, den }: TimeBase,
  packets: number,
  facts: MediaFacts,
): Promise<number[]> {
  const times: number[] = [];
  const tooMany = new AbortController();
  const run = await media.ffmpegLines(
    [{ name, options: ['-noautorotate'] }],
    [
      ['-map', `0:${index}`, '-vf', 'scale=16:16', '-fps_mode', 'passthrough'],
      ['-enc_time_base', `${num}/${den}`, '-f', 'framecrc'],
    ].flat(),
    (line) => {
      const pts = Number(line.split(',')[2]);
      if (line.startsWith('#') || !Number.isFinite(pts)) return;
      if (times.length >= MAX_FRAMES) tooMany.abort();
      else times.push(pts);
      if (times.length % 500 === 0) context.progress(0.05, times.length, 'decoding');
    },
    { limitMs: decodeLimitMs(packets, width * height), signal: tooMany.signal },
    startAnchor(facts, [index]),
  );
  if (tooMany.signal.aborted) throw tooManyFrames(name, MAX_FRAMES);
  if (!run.ok) throw processFault(run, `decoding ${name}`);
  if (times.length === 0) {
    throw new FilmFault('invalid-input', `${name} has no frame that can be decoded`);
  }
  if (times.some((time, i) => i > 0 && time <= times[i - 1]!)) {
    throw backwards(name);
  }
  return times;
}

/** Copying the packets would copy their times: only other frames have other times. */
export function backwards(name: string): FilmFault {
  return new FilmFault(
    'invalid-input',
    `${name} has frames whose times run backwards; encode it anew first, which leaves such frames out (ffmpeg -i in -fps_mode vfr -c:v ffv1 out.mkv)`,
  );
}

/** The median step, for a last frame whose length the container does not say. */
function typicalStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}

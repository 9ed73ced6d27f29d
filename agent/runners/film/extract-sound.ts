/**
 * Takes the sound out of a film. Each track is brought to where it lies in the film, measured and made as loud as
 * was asked for, coded; and counted on the very samples that go into the coder, so that the proof knows what a
 * decoder must find.
 */
import { readFile, rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { ExtractSoundTask, SoundCoding } from '../../../proto/gen/furrow/v1/task_film.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import type { MediaOutput } from './ffmpeg-argv.ts';
import { takeLines } from './list-file.ts';
import {
  firstLevelling,
  levellingFilters,
  measureLoudness,
  nextLevelling,
  type Levelling,
} from './loudness.ts';
import { writeMadeSound, type MadeSound, type MadeTrack } from './made-sound.ts';
import { MAX_LABEL_LENGTH, soundLimitMs } from './media-limits.ts';
import type { MediaRun } from './media-process.ts';
import { copySlack, holdsMany, soundMuxer, trackCoding, type TrackCoding } from './sound-coding.ts';
import { probeSound, streamsOf, type MediaFacts, type MediaStream } from './source-facts.ts';
import { startAnchor } from './start-anchor.ts';

type SoundAttempt = FilmAttempt<ExtractSoundTask>;

export const extractSoundRunner = filmRunner('extractSound', extractSound);

/** A track of the source, and what is to become of it. */
interface Wanted {
  readonly track: MediaStream;
  /** From 1, as people count. */
  readonly number: number;
  readonly coding: TrackCoding | undefined;
  readonly levelling: Levelling | undefined;
  readonly sourceLufs: number | undefined;
}

async function extractSound(attempt: SoundAttempt): Promise<void> {
  const { work, task, media, context } = attempt;
  const sizeBytes = await media.sizeOf(task.source);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${task.source} ${what}`);
  }
  const coding: SoundCoding = task.coding ?? {
    encoder: 'copy',
    bitrateBps: 0,
    channels: 0,
    sampleRate: 0,
  };
  soundMuxer(task.sound);
  const facts = await probeSound(media, task.source);
  const limitMs = soundLimitMs(Number(facts.format.duration ?? 0), 1);
  const wanted: Wanted[] = [];
  for (const chosen of chooseTracks(task, facts)) {
    wanted.push(await plan(attempt, chosen.track, chosen.number, coding, limitMs));
  }
  const together = holdsMany(task.sound) ? [wanted] : wanted.map((one) => [one]);
  const files: MadeSound['files'] = [];
  for (const some of together) {
    const name = together.length === 1 ? task.sound : numbered(task.sound, some[0]!.number);
    files.push({ name, tracks: await make(attempt, name, some, facts, limitMs * some.length) });
  }
  await writeMadeSound(work.directory, { version: 1, files });
  context.log(`${wanted.length} tracks in ${files.length} files`);
}

function chooseTracks(
  { source, tracks }: ExtractSoundTask,
  facts: MediaFacts,
): { readonly track: MediaStream; readonly number: number }[] {
  const all = streamsOf(facts, 'audio').map((track, i) => ({ track, number: i + 1 }));
  if (all.length === 0) throw new FilmFault('invalid-input', `${source} has no audio`);
  const missing = tracks.find((number) => number < 1 || number > all.length);
  if (missing !== undefined) {
    const message = `${source} has ${all.length} audio tracks: there is no track ${missing}`;
    throw new FilmFault('invalid-input', message);
  }
  return tracks.length === 0 ? all : tracks.map((number) => all[number - 1]!);
}

/** `talk.flac` → `talk-2.flac`. */
function numbered(sound: string, number: number): string {
  const extension = extname(sound);
  return `${sound.slice(0, -extension.length)}-${number}${extension}`;
}

/** Rounds in which a limiter's loss is made up for; each costs a pass over the sound. */
const MAX_ROUNDS = 6;

async function plan(
  attempt: SoundAttempt,
  track: MediaStream,
  number: number,
  wanted: SoundCoding,
  limitMs: number,
): Promise<Wanted> {
  const none = { track, number, levelling: undefined, sourceLufs: undefined };
  if (wanted.encoder === 'copy') return { ...none, coding: undefined };
  const coding = trackCoding(wanted, track);
  const { loudness } = wanted;
  if (loudness === undefined) return { ...none, coding };
  const input = { name: attempt.task.source, sound: true };
  const measure = (filters: readonly string[]): ReturnType<typeof measureLoudness> =>
    measureLoudness(attempt, input, `0:${track.index}`, [...coding.filters, ...filters], limitMs);
  const heard = await measure([]);
  let levelling = firstLevelling(heard, loudness, coding.exact !== undefined);
  for (let round = 0; levelling.limitDb !== undefined && round < MAX_ROUNDS; round += 1) {
    const then = await measure(levellingFilters(levelling, coding.sampleRate));
    const next = nextLevelling(levelling, then, loudness);
    if (next === undefined) break;
    levelling = next;
  }
  attempt.context.log(
    heard.lufs === undefined
      ? `track ${number} is silent: it stays as it is`
      : `track ${number}: ${heard.lufs.toFixed(1)} LUFS, changed by ${levelling.gainDb.toFixed(1)} dB` +
          (levelling.limitDb === undefined ? '' : ', its highest peaks taken down'),
  );
  return { track, number, coding, levelling, sourceLufs: heard.lufs };
}

const listName = (i: number): string => `samples-${i}.txt`;
const md5Name = (i: number): string => `samples-${i}.md5`;

/** Codes tracks into one file and answers what it must hold. */
async function make(
  attempt: SoundAttempt,
  name: string,
  wanted: readonly Wanted[],
  facts: MediaFacts,
  limitMs: number,
): Promise<MadeTrack[]> {
  const { media, task, context } = attempt;
  const graphs: string[] = [];
  const maps: string[] = [];
  const counts: MediaOutput[] = [];
  for (const [i, { track, coding, levelling }] of wanted.entries()) {
    const count = { name: { file: listName(i) } };
    if (coding === undefined) {
      maps.push('-map', `0:${track.index}`, `-c:a:${i}`, 'copy');
      counts.push({
        ...count,
        options: ['-map', `0:${track.index}`, '-c:a', 'pcm_s16le', '-f', 'framecrc'],
      });
      continue;
    }
    const change = levelling === undefined ? [] : levellingFilters(levelling, coding.sampleRate);
    const split =
      coding.exact === undefined ? `asplit[o${i}][n${i}]` : `asplit=3[o${i}][n${i}][m${i}]`;
    graphs.push(`[0:${track.index}]${[...coding.filters, ...change, split].join(',')}`);
    maps.push('-map', `[o${i}]`, ...coding.options(i));
    counts.push({ ...count, options: ['-map', `[n${i}]`, '-c:a', 'pcm_s16le', '-f', 'framecrc'] });
    if (coding.exact !== undefined) {
      const options = ['-map', `[m${i}]`, '-c:a', coding.exact, '-f', 'md5'];
      counts.push({ name: { file: md5Name(i) }, options });
    }
  }
  const labels = wanted.flatMap(({ track }, i) => labelsOf(track, i));
  const graph = graphs.length === 0 ? [] : ['-filter_complex', graphs.join(';')];
  const run = await media.ffmpeg(
    [{ name: task.source, sound: true }],
    [
      {
        name: { file: name },
        options: [
          ...graph,
          ...maps,
          '-map_metadata',
          '-1',
          '-map_chapters',
          '-1',
          ...labels,
          ...soundMuxer(name),
        ],
      },
      ...counts,
      ...startAnchor(
        facts,
        wanted.map(({ track }) => track.index),
      ),
    ],
    ({ outTimeUs }) => context.progress(0.5, Math.max(0, outTimeUs), name),
    { limitMs },
  );
  if (!run.ok) throw muxFault(run, name) ?? processFault(run, name);
  if (run.complaints.some((line) => /partial file|File ended prematurely|Truncat/i.test(line))) {
    throw new FilmFault(
      'invalid-input',
      `${task.source} is truncated: its sound ends before its time; copy the file again`,
    );
  }
  // ffmpeg goes on over packets that it cannot decode; the listener should know.
  for (const line of run.complaints.slice(0, 5)) context.log(`${name}: ${line}`);
  const tracks: MadeTrack[] = [];
  for (const [i, one] of wanted.entries()) tracks.push(await counted(attempt, one, i));
  return tracks;
}

function labelsOf({ tags }: MediaStream, i: number): string[] {
  return (['language', 'title'] as const).flatMap((key) => {
    const value = tags?.[key]?.slice(0, MAX_LABEL_LENGTH);
    return value === undefined ? [] : [`-metadata:s:a:${i}`, `${key}=${value}`];
  });
}

async function counted(
  { work, task }: SoundAttempt,
  { track, number, coding, levelling, sourceLufs }: Wanted,
  i: number,
): Promise<MadeTrack> {
  let samples = 0;
  await takeLines(work.directory, listName(i), (line) => {
    const length = Number(line.split(',')[3]);
    if (!line.startsWith('#') && Number.isFinite(length)) samples += length;
  });
  if (samples === 0) {
    throw new FilmFault('invalid-input', `track ${number} of ${task.source} cannot be decoded`);
  }
  const path = join(work.directory, md5Name(i));
  const md5 = coding?.exact === undefined ? undefined : (await readFile(path, 'latin1')).trim();
  if (md5 !== undefined) await rm(path);
  const sampleRate = coding?.sampleRate ?? Number(track.sample_rate);
  const loudness = task.coding?.loudness;
  return {
    number,
    codec: coding?.encoder ?? 'copy',
    channels: coding?.channels ?? track.channels ?? 1,
    sampleRate,
    samples,
    md5,
    slackSamples: coding?.slackSamples ?? copySlack(sampleRate),
    loudness:
      loudness === undefined || levelling === undefined
        ? undefined
        : {
            ...loudness,
            isSilent: sourceLufs === undefined,
            isLimited: levelling.limitDb !== undefined,
            gainDb: levelling.gainDb,
            sourceLufs,
          },
  };
}

/** Muxers refuse at the header what they cannot carry. */
function muxFault({ complaints }: MediaRun, name: string): FilmFault | undefined {
  const said = complaints.find((line) =>
    /Could not find tag for codec|Unsupported|not supported|Only (FLAC|Opus|audio)|Invalid audio stream|exactly one/i.test(
      line,
    ),
  );
  return said === undefined
    ? undefined
    : new FilmFault(
        'invalid-input',
        `${name} does not take this sound as it is (${said}): choose an encoder or .mka`,
      );
}

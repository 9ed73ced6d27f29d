/**
 * Joins chunks, audio and what else the source carries into the film. Nothing is encoded here but text
 * subtitles; the chunks' packets go in as they are.
 */
import { access, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unsafeName } from '../../../kit/safe-name.ts';
import type { ConcatTask } from '../../../proto/gen/furrow/v1/task.ts';
import { AUDIO_NAMES } from './audio.ts';
import { readAudioFacts } from './audio-facts.ts';
import { readSeal } from './chunk-seal.ts';
import { carriedOptions, carriedTracks } from './carried-tracks.ts';
import { containerOf, muxerOptions, type Container } from './container.ts';
import type { MediaInput } from './ffmpeg-argv.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { chunkName, readPlan, sealName, type FilmPlan } from './film-plan.ts';
import { filmFrameCount, filmPieces, filmTimeBase, filmTimeline } from './film-frames.ts';
import { readLimitMs } from './media-limits.ts';
import { containerStartUs, probeMedia, probeSource, tracksOf } from './source-facts.ts';
import { startAnchor } from './start-anchor.ts';
import { timecodeOptions, wantedTimecode } from './timecode.ts';
import { durationsUs, formatUs } from './timeline.ts';

type ConcatAttempt = FilmAttempt<ConcatTask>;

const LIST_NAME = 'chunks.ffconcat';

export const concatRunner = filmRunner('concat', concat);

async function concat(attempt: ConcatAttempt): Promise<void> {
  const { work, task, media, context } = attempt;
  const container = containerOf(task.film);
  if (container === undefined) {
    throw new FilmFault('invalid-input', `${task.film}: a film ends in .mp4, .mov, .mkv or .webm`);
  }
  const why = unsafeName(task.film);
  if (why !== undefined) {
    throw new FilmFault('invalid-input', `${task.film} cannot name a film: ${why}`);
  }
  await mkdir(dirname(join(work.directory, task.film)), { recursive: true });
  const plan = await readPlan(work.directory);
  const chunkBytes = await refuseUnlikeChunks(attempt, plan);
  await writeFile(join(work.directory, LIST_NAME), chunkList(plan));

  const tracks = plan.source.tracks ?? tracksOf(await probeSource(media, task.source));
  const known = await readAudioFacts(work.directory);
  const audio = await findAudio(work.directory);
  const carried = carriedTracks(
    container,
    tracks,
    known?.tracks?.map(({ index }) => index),
  );
  for (const line of carried.left) context.log(line);
  const sourceBytes = task.source === '' ? 0 : ((await media.sizeOf(task.source)) ?? 0);
  if (audio === undefined && carried.audio.length > 0) {
    throw new FilmFault('bad-output', `the audio of ${task.source} is missing`);
  }
  const audioStart = audio === undefined ? '' : await startOf(attempt, audio);
  const subtitles = carried.subtitles.map(({ track }) => track.index);
  const anchor =
    subtitles.length === 0
      ? []
      : startAnchor(await probeSource(media, task.source), subtitles, audio === undefined ? 1 : 2);
  const inputs: MediaInput[] = [
    {
      name: LIST_NAME,
      list: true,
      options: [
        ['-itsoffset', formatUs(plan.videoDelayUs)],
        // Without the automatic filter packets stay byte for byte what the chunks hold.
        ['-f', 'concat', '-safe', '1', '-auto_convert', '0'],
      ].flat(),
    },
    // ffmpeg moves every input to 0; the offset puts late audio back where it was.
    ...(audio === undefined
      ? []
      : [{ name: audio, options: ['-itsoffset', audioStart] } satisfies MediaInput]),
    ...(task.source === '' ? [] : [{ name: task.source }]),
  ];
  const run = await media.ffmpeg(
    inputs,
    [
      {
        name: { file: task.film },
        options: [
          ['-map', '0:v:0', '-c', 'copy'],
          // Decoding times of the next chunk may begin before those of the last one end where the
          // frame rate varies; decoders only need them to ascend.
          ['-bsf:v', 'setts=pts=PTS:dts=max(DTS\\,PREV_OUTDTS+1)'],
          carriedOptions(carried, container, {
            audio: audio === undefined ? undefined : 1,
            source: task.source === '' ? undefined : inputs.length - 1,
          }),
          timecodeOptions(plan, container, wantedTimecode(plan, task.timecode === true)),
          ['-video_track_timescale', String(filmTimeBase(plan).den), ...muxerOptions(container)],
        ].flat(),
      },
      ...anchor,
    ],
    ({ frame }) => context.progress(Math.min(1, frame / filmFrameCount(plan)), frame, 'joining'),
    // Chunks, source and film are each read or written, and the film once more for its index.
    { limitMs: readLimitMs(3 * chunkBytes + sourceBytes) },
  );
  if (!run.ok) throw joinFault(run.complaints, container) ?? processFault(run, 'joining');
}

/**
 * Chunks of different headers would play until the first seam; one that is no MP4 could be a list of
 * other files. Answers the bytes of all.
 */
async function refuseUnlikeChunks(attempt: ConcatAttempt, plan: FilmPlan): Promise<number> {
  const { work, media } = attempt;
  let first: { readonly name: string; readonly hash: string } | undefined;
  let bytes = 0;
  for (const piece of plan.pieces) {
    const name = chunkName(piece);
    await access(join(work.directory, name)).catch(() => {
      throw new FilmFault('bad-output', `${name} is missing`);
    });
    bytes += (await media.sizeOf(name)) ?? 0;
    if ((await media.firstBytes(name, 8)).toString('latin1', 4) !== 'ftyp') {
      throw new FilmFault('bad-output', `${name} is not the MP4 that an encoder makes`);
    }
    const { extradataHash } = await readSeal(work.directory, sealName(piece));
    first ??= { name, hash: extradataHash };
    if (extradataHash !== first.hash) {
      throw new FilmFault(
        'bad-output',
        `${name} and ${first.name} were encoded unlike: use the same ffmpeg on all agents`,
      );
    }
  }
  return bytes;
}

/** Each chunk with the time until the next begins, so that rounding never adds up. */
function chunkList(plan: FilmPlan): string {
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const starts = filmPieces(plan).map((piece) => times[piece.firstFrame]!);
  const end = times.at(-1)! + lastFrameTicks;
  const durations = durationsUs([...starts, end], timeBase);
  const lines = plan.pieces.map(
    (piece, i) => `file '${chunkName(piece)}'\nduration ${formatUs(durations[i]!)}\n`,
  );
  return `ffconcat version 1.0\n${lines.join('')}`;
}

async function findAudio(directory: string): Promise<string | undefined> {
  for (const name of AUDIO_NAMES) {
    const there = await access(join(directory, name)).then(
      () => true,
      () => false,
    );
    if (there) return name;
  }
  return undefined;
}

/** Where the audio's file begins by its own clock. */
async function startOf({ media, work }: ConcatAttempt, audio: string): Promise<string> {
  const known = await readAudioFacts(work.directory);
  return formatUs(known?.fileStartUs ?? containerStartUs(await probeMedia(media, audio)));
}

/** Muxers refuse at the header what they cannot carry. */
function joinFault(complaints: readonly string[], container: Container): FilmFault | undefined {
  const said = complaints.find((line) =>
    /Could not find tag for codec|Only VP8 or VP9|not currently supported in container/.test(line),
  );
  return said === undefined
    ? undefined
    : new FilmFault('invalid-input', `${container} does not take this coding: ${said}`);
}

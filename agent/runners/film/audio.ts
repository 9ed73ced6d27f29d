/** Encodes or copies all audio of a film at once: cut audio would click at every seam. */
import type { AudioTask } from '../../../proto/gen/furrow/v1/task.ts';
import { writeAudioFacts, type AudioFacts } from './audio-facts.ts';
import { audioFramesOptions, AudioSpanReader } from './audio-span.ts';
import { chosenTracks, trackOptions } from './audio-tracks.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { soundLimitMs } from './media-limits.ts';
import {
  containerStartUs,
  probeMedia,
  probeSource,
  streamsOf,
  type MediaFacts,
  type MediaStream,
} from './source-facts.ts';
import { startAnchor } from './start-anchor.ts';

export const audioRunner = filmRunner('audio', encodeAudio);

/** Codecs that MP4 carries with exact times; Matroska rounds them to a millisecond. */
const MP4_CODECS: ReadonlySet<string> = new Set(['aac', 'alac', 'mp3', 'ac3', 'eac3']);

/** Names under which the audio may be found. */
export const AUDIO_NAMES = ['audio.m4a', 'audio.mka'] as const;

/** List of the source's decoded audio frames. */
const SOURCE_FRAMES = 'source-audio.txt';

async function encodeAudio(attempt: FilmAttempt<AudioTask>): Promise<void> {
  const { media, task, work, context } = attempt;
  const facts = await probeSource(media, task.source);
  const encoder = task.audio?.encoder || 'aac';
  const all = streamsOf(facts, 'audio');
  const tracks = encoder === 'none' ? [] : chosenTracks(task.source, facts, task.audio?.tracks);
  if (tracks.length < all.length) {
    context.log(
      `${all.length - tracks.length} of ${all.length} audio tracks are left out, as asked`,
    );
  }
  if (tracks.length === 0) {
    if (all.length === 0) context.log(`${task.source} has no audio`);
    await writeAudioFacts(work.directory, { version: 1, fileStartUs: 0, tracks: [], source: [] });
    context.progress(1, 1, 'no audio');
    return;
  }
  const file = audioName(encoder, tracks);
  await encodeTracks(attempt, file, encoder, tracks, facts);
  const spans = new AudioSpanReader();
  await takeLines(work.directory, SOURCE_FRAMES, (line) => spans.add(line));
  const made = await probeMedia(media, file);
  await writeAudioFacts(work.directory, {
    version: 1,
    fileStartUs: containerStartUs(made),
    tracks: madeTracks(attempt, tracks, streamsOf(made, 'audio')),
    source: spans.spans(0),
  });
}

async function encodeTracks(
  { media, task, context }: FilmAttempt<AudioTask>,
  file: string,
  encoder: string,
  tracks: readonly MediaStream[],
  facts: MediaFacts,
): Promise<void> {
  const totalSeconds = Number(facts.format.duration ?? 0);
  const bitrate = task.audio?.bitrateBps ?? 0;
  const run = await media.ffmpeg(
    [{ name: task.source }],
    [
      {
        name: { file },
        options: [
          ...tracks.map((track, i) => trackOptions(track, i, encoder, bitrate)),
          ['-map_metadata', '-1', '-map_chapters', '-1'],
        ].flat(),
      },
      {
        name: { file: SOURCE_FRAMES },
        options: audioFramesOptions(tracks.map(({ index }) => index)),
      },
      ...startAnchor(
        facts,
        tracks.map(({ index }) => index),
      ),
    ],
    ({ outTimeUs }) =>
      context.progress(
        totalSeconds > 0 ? Math.max(0, Math.min(1, outTimeUs / 1e6 / totalSeconds)) : 0,
        Math.max(0, outTimeUs),
        '',
      ),
    { limitMs: soundLimitMs(totalSeconds, tracks.length) },
  );
  if (!run.ok) throw processFault(run, `audio of ${task.source}`);
  // ffmpeg goes on over packets that it cannot decode; the listener should know.
  for (const line of run.complaints.slice(0, 5)) context.log(`audio: ${line}`);
  if (run.complaints.some((line) => /Decoder .* not found/.test(line))) {
    throw new FilmFault('invalid-input', `${task.source} has audio of an unknown codec`);
  }
}

/** What became of each track, in order. Whoever loses channels by it is told. */
function madeTracks(
  { task, context }: FilmAttempt<AudioTask>,
  tracks: readonly MediaStream[],
  made: readonly MediaStream[],
): NonNullable<AudioFacts['tracks']> {
  if (made.length !== tracks.length) {
    const counts = `${made.length} of ${tracks.length} audio tracks`;
    throw new FilmFault('bad-output', `${counts} of ${task.source} were encoded`);
  }
  return tracks.map(({ index, channels, channel_layout }, i) => {
    const { codec_name = '', channels: kept = 0 } = made[i]!;
    if (channels !== undefined && channels !== kept) {
      const from = channel_layout ?? `${channels} channels`;
      context.log(`audio ${i}: ${codec_name} has no ${from}: it becomes ${kept} channels`);
    }
    return { index, codec: codec_name, channels: kept };
  });
}

function audioName(encoder: string, tracks: readonly MediaStream[]): string {
  const codecs = encoder === 'copy' ? tracks.map((track) => track.codec_name ?? '') : [encoder];
  return codecs.every((codec) => MP4_CODECS.has(codec)) ? 'audio.m4a' : 'audio.mka';
}

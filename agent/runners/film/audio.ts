/** Encodes or copies all audio of a film at once: cut audio would click at every seam. */
import type { AudioTask } from '../../../proto/gen/furrow/v1/task.ts';
import { writeAudioFacts } from './audio-facts.ts';
import { AUDIO_FRAMES_OPTIONS, AudioSpanReader } from './audio-span.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { soundLimitMs } from './media-limits.ts';
import {
  containerStartUs,
  probeMedia,
  probeSource,
  streamsOf,
  type MediaStream,
} from './source-facts.ts';

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
  const tracks = streamsOf(facts, 'audio');
  if (tracks.length === 0) {
    context.log(`${task.source} has no audio`);
    context.progress(1, 1, 'no audio');
    return;
  }
  const encoder = task.audio?.encoder || 'aac';
  const file = audioName(encoder, tracks);
  const bitrate = task.audio?.bitrateBps ?? 0;
  const totalSeconds = Number(facts.format.duration ?? 0);
  const run = await media.ffmpeg(
    [{ name: task.source }],
    [
      {
        name: { file },
        options: [
          ['-map', '0:a', '-map_metadata', '-1', '-map_chapters', '-1', '-c:a', encoder],
          encoder !== 'copy' && bitrate > 0 ? ['-b:a', String(bitrate)] : [],
        ].flat(),
      },
      { name: { file: SOURCE_FRAMES }, options: AUDIO_FRAMES_OPTIONS },
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
  const spans = new AudioSpanReader();
  await takeLines(work.directory, SOURCE_FRAMES, (line) => spans.add(line));
  await writeAudioFacts(work.directory, {
    version: 1,
    fileStartUs: containerStartUs(await probeMedia(media, file)),
    source: spans.spans(0),
  });
}

function audioName(encoder: string, tracks: readonly MediaStream[]): string {
  const codecs = encoder === 'copy' ? tracks.map((track) => track.codec_name ?? '') : [encoder];
  return codecs.every((codec) => MP4_CODECS.has(codec)) ? 'audio.m4a' : 'audio.mka';
}

/** Listens to the music of a montage: its beats, and how its energy rises and falls. Writes `music.json`. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { AnalyzeMusicTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { soundLimitMs } from '../film/media-limits.ts';
import { writeMusicAnalysis, type MusicAnalysis } from './analyses.ts';
import { trackBeats } from './beat-tracker.ts';
import { energyCurve } from './energy-curve.ts';
import { soundInput } from './music-input.ts';
import { MUSIC_SAMPLE_RATE, OnsetEnvelope } from './onset-envelope.ts';
import { blocksOf, samplesOf } from './raw-blocks.ts';

const SOUND_FILE = 'music.pcm';

/** A film of an hour is the longest that is cut. */
const MAX_MUSIC_SECONDS = 2 * 3600;
const LEAST_MUSIC_SECONDS = 1;

export const analyzeMusicRunner = filmRunner('analyzeMusic', analyzeMusic);

async function analyzeMusic(attempt: FilmAttempt<AnalyzeMusicTask>): Promise<void> {
  const { task, work, media, context } = attempt;
  const sizeBytes = await media.sizeOf(task.music);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${task.music} ${what}`);
  }
  const run = await media.ffmpeg(
    [soundInput(task.music)],
    [
      {
        name: { file: SOUND_FILE },
        options: [
          ['-map', '0:a:0', '-vn', '-ac', '1', '-ar', String(MUSIC_SAMPLE_RATE)],
          // One second more, by which it is known to be too long.
          ['-t', String(MAX_MUSIC_SECONDS + 1), '-f', 's16le'],
        ].flat(),
      },
    ],
    ({ outTimeUs }) => context.progress(0.3, Math.max(0, outTimeUs / 1e6), 'reading'),
    { limitMs: soundLimitMs(MAX_MUSIC_SECONDS, 1) },
  );
  if (!run.ok) {
    const text = run.complaints.join('\n');
    const said = /Stream map .* matches no streams/.test(text)
      ? 'has no sound'
      : /whitelist/.test(text)
        ? 'is a playlist or of a format that is not taken; give the music itself'
        : 'is no music that ffmpeg can read';
    if (run.result.exitCode !== null) {
      throw new FilmFault('invalid-input', `${task.music} ${said}`);
    }
    throw processFault(run, `listening to ${task.music}`);
  }
  await writeMusicAnalysis(work.directory, await listen(attempt));
}

async function listen({
  task,
  work,
  context,
}: FilmAttempt<AnalyzeMusicTask>): Promise<MusicAnalysis> {
  const path = join(work.directory, SOUND_FILE);
  const envelope = new OnsetEnvelope();
  let samples = 0;
  for await (const block of blocksOf(path, 2 * MUSIC_SAMPLE_RATE, true)) {
    const part = samplesOf(block);
    envelope.add(part);
    samples += part.length;
    context.progress(0.5, MAX_MUSIC_SECONDS + samples, 'listening');
  }
  await rm(path, { force: true });
  const seconds = samples / MUSIC_SAMPLE_RATE;
  if (seconds > MAX_MUSIC_SECONDS) {
    throw new FilmFault(
      'invalid-input',
      `${task.music} is longer than ${MAX_MUSIC_SECONDS / 3600} hours; cut it first`,
    );
  }
  if (seconds < LEAST_MUSIC_SECONDS) {
    throw new FilmFault(
      'invalid-input',
      `${task.music} has ${seconds.toFixed(2)} s of sound: too little to cut on`,
    );
  }
  const { flux, loudness } = envelope.finish();
  const beats = trackBeats(flux, seconds);
  context.log(
    beats.confidence === 0
      ? 'no beat was found: cuts are counted at 120 beats a minute'
      : `${beats.seconds.length} beats at ${beats.tempoBpm} a minute (confidence ${beats.confidence})`,
  );
  context.progress(1, MAX_MUSIC_SECONDS + samples + 1, `${beats.tempoBpm} bpm`);
  return {
    version: 1,
    name: basename(task.music),
    seconds,
    tempoBpm: beats.tempoBpm,
    confidence: beats.confidence,
    beats: [...beats.seconds],
    downbeat: beats.downbeat,
    energy: energyCurve(loudness, flux),
  };
}

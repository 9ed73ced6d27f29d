/**
 * Joins the sounds of clips, sample after sample, and encodes them in one piece, so that no coder's lead-in lies
 * between two clips and sound stays with its picture at every join.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JoinSoundsTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import { writeAudioFacts } from './audio-facts.ts';
import { AUDIO_FRAMES_OPTIONS, AudioSpanReader } from './audio-span.ts';
import { readClips, soundOf } from './clips-plan.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { readPlan } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { soundLimitMs } from './media-limits.ts';
import { containerStartUs, probeMedia } from './source-facts.ts';

const LIST = 'sounds.ffconcat';
const FRAMES = 'joined-sound.txt';

export const joinSoundsRunner = filmRunner('joinSounds', joinSounds);

async function joinSounds(attempt: FilmAttempt<JoinSoundsTask>): Promise<void> {
  const { work, task, media, context } = attempt;
  const { form, clips } = await readClips(work.directory);
  if (form.channels === 0) {
    context.log('no clip has sound');
    return;
  }
  const plan = await readPlan(work.directory);
  const names = plan.pieces.map((piece) => soundOf(piece.name));
  for (const name of names) await refuseOther(attempt, name);
  const list = names.map((name) => `file '${name}'\n`).join('');
  await writeFile(join(work.directory, LIST), `ffconcat version 1.0\n${list}`);
  const samples = clips.reduce((sum, clip) => sum + clip.samples, 0);
  const seconds = samples / form.sampleRate;
  const encoder = task.encoder || 'aac';
  const file = encoder === 'aac' ? 'audio.m4a' : 'audio.mka';
  const bitrate = task.bitrateBps > 0 ? ['-b:a', String(task.bitrateBps)] : [];
  const run = await media.ffmpeg(
    [{ name: LIST, list: true, options: ['-f', 'concat', '-safe', '1'] }],
    [
      { name: { file }, options: ['-map', '0:a', '-c:a', encoder, ...bitrate] },
      { name: { file: FRAMES }, options: AUDIO_FRAMES_OPTIONS },
    ],
    ({ outTimeUs }) =>
      context.progress(
        Math.min(1, Math.max(0, outTimeUs / 1e6 / seconds)),
        Math.max(0, outTimeUs),
        '',
      ),
    { limitMs: soundLimitMs(seconds, 1) },
  );
  if (!run.ok) throw processFault(run, 'joining the sounds');
  const spans = new AudioSpanReader();
  let found = 0;
  await takeLines(work.directory, FRAMES, (line) => {
    spans.add(line);
    const length = Number(line.split(',')[3]);
    if (!line.startsWith('#') && Number.isFinite(length)) found += length;
  });
  if (found !== samples) {
    throw new FilmFault('bad-output', `the joined sounds have ${found} samples, not ${samples}`);
  }
  await writeAudioFacts(work.directory, {
    version: 1,
    fileStartUs: containerStartUs(await probeMedia(media, file)),
    source: spans.spans(0),
  });
}

/** One that is no MP4 could be a list of other files. */
async function refuseOther({ media }: FilmAttempt<unknown>, name: string): Promise<void> {
  const size = await media.sizeOf(name);
  if (size === undefined) throw new FilmFault('bad-output', `${name} is missing`);
  if ((await media.firstBytes(name, 8)).toString('latin1', 4) === 'ftyp') return;
  throw new FilmFault('bad-output', `${name} is not the MP4 that a clip's unit makes`);
}

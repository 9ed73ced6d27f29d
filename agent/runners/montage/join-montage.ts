/**
 * Joins the chunks on the music: the chunks' packets go in as they are; the music is cut to the film's length
 * at its own loudness, and fades if the style wants it; the clips' own sound lies under it if asked for.
 */
import { createReadStream } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JoinMontageTask, MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { readSeal } from '../film/chunk-seal.ts';
import { containerOf, muxerOptions } from '../film/container.ts';
import type { MediaInput } from '../film/ffmpeg-argv.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { readLimitMs, soundLimitMs } from '../film/media-limits.ts';
import { durationsUs, formatUs } from '../film/timeline.ts';
import { type CutList, readCutList, shotStarts } from './cut-list.ts';
import { soundInput } from './music-input.ts';
import { chunkFileName, sealFileName, soundName } from './pieces.ts';
import { musicFade } from './shot-graph.ts';
import { SOUND_CHANNELS, SOUND_RATE, soundSamples } from './sound.ts';

type JoinAttempt = FilmAttempt<JoinMontageTask>;

const LIST_NAME = 'chunks.ffconcat';
const CLIP_SOUND_NAME = 'clip-sound.wav';

export const joinMontageRunner = filmRunner('joinMontage', joinMontage);

async function joinMontage(attempt: JoinAttempt): Promise<void> {
  const { work, task, media, context } = attempt;
  const { film } = task;
  const container = containerOf(film?.name ?? '');
  if (film === undefined || container === undefined || /[/\\]/.test(film.name)) {
    throw new FilmFault(
      'invalid-input',
      `the task's film is named ${film?.name}: it ends in .mp4, .mov or .mkv`,
    );
  }
  const list = await readCutList(work.directory);
  const chunkBytes = await refuseUnlikeChunks(attempt, list);
  await writeFile(join(work.directory, LIST_NAME), chunkList(list));
  const hasClipSound = film.clipSound > 0;
  if (hasClipSound) await joinClipSound(attempt, list);
  const inputs: MediaInput[] = [
    {
      name: LIST_NAME,
      list: true,
      options: ['-f', 'concat', '-safe', '1', '-auto_convert', '0'],
    },
    soundInput(task.music),
    ...(hasClipSound ? [soundInput(CLIP_SOUND_NAME)] : []),
  ];
  const seconds = (list.frames * list.rate.den) / list.rate.num;
  const run = await media.ffmpeg(
    inputs,
    [
      {
        name: { file: film.name },
        options: [
          ['-filter_complex', soundGraph(film, list), '-map', '0:v:0', '-map', '[sound]'],
          ['-c:v', 'copy', '-bsf:v', 'setts=pts=PTS:dts=max(DTS\\,PREV_OUTDTS+1)'],
          ['-c:a', 'aac', '-b:a', '192k', '-map_metadata', '-1', '-map_chapters', '-1'],
          ['-video_track_timescale', String(list.rate.num), ...muxerOptions(container)],
        ].flat(),
      },
    ],
    ({ frame }) => context.progress(Math.min(1, frame / list.frames), frame, 'joining'),
    { limitMs: readLimitMs(3 * chunkBytes) + soundLimitMs(seconds + list.musicFromMs / 1000, 2) },
  );
  if (!run.ok) throw processFault(run, 'joining');
}

/** Exactly the film's samples: of the music, and under it what the clips were heard to say. */
function soundGraph(film: MontageFilm, list: CutList): string {
  const samples = soundSamples(list.frames, list.rate);
  const from = Math.round((list.musicFromMs * SOUND_RATE) / 1000);
  const fade = musicFade(film, list);
  const last = [
    ...(fade === undefined
      ? []
      : [`afade=t=out:st=${fade.from.toFixed(6)}:d=${fade.seconds.toFixed(6)}`]),
    'apad',
    `atrim=end_sample=${samples}`,
  ].join(',');
  const music = [
    `[1:a:0]aresample=${SOUND_RATE}`,
    'aformat=sample_fmts=fltp:channel_layouts=stereo',
    `atrim=start_sample=${from}:end_sample=${from + samples}`,
    'asetpts=PTS-STARTPTS',
  ].join(',');
  if (!(film.clipSound > 0)) return `${music},${last}[sound]`;
  const under = Math.min(1, film.clipSound);
  return [
    `${music}[music]`,
    `[2:a:0]aformat=sample_fmts=fltp:channel_layouts=stereo,volume=${under}[clips]`,
    // The music stays as loud as it is.
    `[music][clips]amix=inputs=2:duration=longest:dropout_transition=0:normalize=0,${last}[sound]`,
  ].join(';');
}

/** Chunks of different headers would play until the first seam. Answers the bytes of all. */
async function refuseUnlikeChunks({ media, work }: JoinAttempt, list: CutList): Promise<number> {
  let first: { readonly name: string; readonly hash: string } | undefined;
  let bytes = 0;
  for (const [shot, { frames }] of list.shots.entries()) {
    const name = chunkFileName(shot);
    const size = await media.sizeOf(name);
    if (size === undefined) throw new FilmFault('bad-output', `${name} is missing`);
    bytes += size;
    if ((await media.firstBytes(name, 8)).toString('latin1', 4) !== 'ftyp') {
      throw new FilmFault('bad-output', `${name} is not the MP4 that an encoder makes`);
    }
    const seal = await readSeal(work.directory, sealFileName(shot));
    if (seal.frames !== frames) {
      throw new FilmFault('bad-output', `${name} has ${seal.frames} frames, not ${frames}`);
    }
    first ??= { name, hash: seal.extradataHash };
    if (seal.extradataHash !== first.hash) {
      throw new FilmFault(
        'bad-output',
        `${name} and ${first.name} were encoded unlike: use the same ffmpeg on all agents`,
      );
    }
  }
  return bytes;
}

/** Each chunk with the time until the next begins, so that rounding never adds up. */
function chunkList(list: CutList): string {
  const { num, den } = list.rate;
  const ticks = [...shotStarts(list), list.frames].map((frame) => frame * den);
  const durations = durationsUs(ticks, { num: 1, den: num });
  const lines = list.shots.map(
    (_, shot) => `file '${chunkFileName(shot)}'\nduration ${formatUs(durations[shot]!)}\n`,
  );
  return `ffconcat version 1.0\n${lines.join('')}`;
}

/** One WAV of all shots' sound, one after the other. */
async function joinClipSound({ work }: JoinAttempt, list: CutList): Promise<void> {
  const bytes = soundSamples(list.frames, list.rate) * SOUND_CHANNELS * 2;
  const file = await open(join(work.directory, CLIP_SOUND_NAME), 'w');
  try {
    await file.write(wavHeader(bytes));
    let written = 0;
    for (const shot of list.shots.keys()) {
      for await (const part of createReadStream(join(work.directory, soundName(shot)))) {
        await file.write(part as Buffer);
        written += (part as Buffer).length;
      }
    }
    if (written !== bytes) {
      throw new FilmFault('bad-output', `the clips' sound has ${written} bytes, not ${bytes}`);
    }
  } finally {
    await file.close();
  }
}

function wavHeader(bytes: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + bytes, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(SOUND_CHANNELS, 22);
  header.writeUInt32LE(SOUND_RATE, 24);
  header.writeUInt32LE(SOUND_RATE * SOUND_CHANNELS * 2, 28);
  header.writeUInt16LE(SOUND_CHANNELS * 2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(bytes, 40);
  return header;
}

/**
 * Chooses the shots of a montage, or takes an edited list at its word, and writes the list in every form that
 * is kept. Nothing here looks at a film: what was found in the clips and the music is all there is, so that the
 * same analyses, style and seed make the same bytes.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { MontageFilm, PlanCutsTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import {
  type ClipAnalysis,
  readClipAnalysis,
  readMusicAnalysis,
  type MusicAnalysis,
} from './analyses.ts';
import { chooseShots, longestScene } from './choose-shots.ts';
import { type CutList, type Shot, shotStarts, writeCutList } from './cut-list.ts';
import { csvText, readCsv } from './cuts-csv.ts';
import { type EditedList, ListFault, shotsOf } from './edited-list.ts';
import { edlText, readEdl, reelsOf } from './edl.ts';
import { otioText, readOtio } from './otio.ts';
import { isSmall } from './picture-filters.ts';
import { shotFileName } from './pieces.ts';
import { placeCuts } from './place-cuts.ts';
import { rateOf } from './rate.ts';
import type { Rate } from './timecode.ts';

type PlanAttempt = FilmAttempt<PlanCutsTask>;

/** An attempt may leave 4,000 outputs. */
const MAX_SHOTS = 3500;
/** Of a list that somebody sends. */
const MAX_LIST_BYTES = 16 * 1024 * 1024;

export const planCutsRunner = filmRunner('planCuts', planCuts);

async function planCuts(attempt: PlanAttempt): Promise<void> {
  const { task, work, context } = attempt;
  const { film } = task;
  if (film === undefined) throw new FilmFault('invalid-input', 'the task has no film');
  const rate = rateOf(film.rate);
  const clips = await Promise.all(
    task.clips.map((_, index) => readClipAnalysis(work.directory, index)),
  );
  const music = await readMusicAnalysis(work.directory);
  const shots =
    task.list === '' ? chosen(task, clips, music, rate) : await edited(attempt, clips, rate);
  if (shots.length > MAX_SHOTS) {
    throw new FilmFault(
      'invalid-input',
      `${shots.length} shots are more than ${MAX_SHOTS}: cut a shorter film`,
    );
  }
  const list: CutList = {
    version: 1,
    rate,
    frames: shots.reduce((sum, { frames }) => sum + frames, 0),
    musicFromMs: task.musicFromMs,
    clips: clips.map(({ name, frames, startFrames }) => ({ name, frames, startFrames })),
    shots,
  };
  refuseBeyondMusic(list, music);
  await writeLists(attempt, list, film, music);
  const smallClips = clips.map(({ picture }) => film.upscale && isSmall(film, picture));
  await writeShots(attempt, list, smallClips);
  if (film.upscale) context.log(enlargedText(list, clips, smallClips));
  context.log(`${shots.length} shots, ${list.frames} frames`);
  context.progress(1, shots.length, `${shots.length} shots`);
}

function chosen(
  task: PlanCutsTask,
  clips: readonly ClipAnalysis[],
  music: MusicAnalysis,
  rate: Rate,
): Shot[] {
  if (task.style === undefined) throw new FilmFault('invalid-input', 'the task has no style');
  const leftMs = Math.floor(music.seconds * 1000) - task.musicFromMs;
  const lengthMs = task.lengthMs > 0 ? task.lengthMs : leftMs;
  const frames = Math.floor((lengthMs * rate.num) / (1000 * rate.den));
  if (frames < 1 || lengthMs > leftMs) throw musicTooShort(lengthMs, leftMs);
  const slots = placeCuts({
    style: task.style,
    music,
    musicFromMs: task.musicFromMs,
    rate,
    frames,
    seed: task.seed,
    longestScene: longestScene(clips),
  });
  const shots = chooseShots(clips, slots, task.seed);
  if (shots !== undefined) return shots;
  throw new FilmFault(
    'invalid-input',
    'no clip has a scene that is long enough for a shot: give longer clips',
  );
}

function musicTooShort(lengthMs: number, leftMs: number): FilmFault {
  const left = Math.max(0, leftMs) / 1000;
  return new FilmFault(
    'invalid-input',
    `the film takes ${lengthMs / 1000} s of the music, which has ${left} s from there on: make the film shorter, or begin earlier in the music`,
  );
}

async function edited(
  { task, work }: PlanAttempt,
  clips: readonly ClipAnalysis[],
  rate: Rate,
): Promise<Shot[]> {
  const name = basename(task.list);
  const bytes = await readFile(join(work.directory, task.list));
  if (bytes.length > MAX_LIST_BYTES) {
    throw new FilmFault(
      'invalid-input',
      `${name} is larger than any list of cuts: give the list itself`,
    );
  }
  const reels = new Map(
    reelsOf(clips.map((clip) => clip.name)).map((reel, index) => [reel, index]),
  );
  try {
    return shotsOf(readList(name, bytes.toString('utf8'), rate), clips, reels, rate);
  } catch (error) {
    if (!(error instanceof ListFault)) throw error;
    throw new FilmFault('invalid-input', `${name}: ${error.message}`);
  }
}

function readList(name: string, text: string, rate: Rate): EditedList {
  if (/\.otio$/i.test(name)) return readOtio(text, rate);
  return /\.edl$/i.test(name) ? readEdl(text, rate) : readCsv(text, rate);
}

function refuseBeyondMusic({ frames, rate, musicFromMs }: CutList, music: MusicAnalysis): void {
  const lengthMs = Math.floor((frames * rate.den * 1000) / rate.num);
  const leftMs = Math.floor(music.seconds * 1000) - musicFromMs;
  if (lengthMs > leftMs) throw musicTooShort(lengthMs, leftMs);
}

async function writeLists(
  { work }: PlanAttempt,
  list: CutList,
  film: MontageFilm,
  music: MusicAnalysis,
): Promise<void> {
  const write = (name: string, text: string): Promise<void> =>
    writeFile(join(work.directory, name), text);
  const title = film.name.replace(/\.[^.]*$/, '');
  await writeCutList(work.directory, list);
  await write(
    'cuts.otio',
    otioText(list, { title, music: music.name, musicSeconds: music.seconds }),
  );
  await write('cuts.edl', edlText(list, title));
  await write('cuts.csv', csvText(list));
}

/** A shot needs the model where its own clip is small, or that of the shot that lends it frames. */
async function writeShots(
  { work }: PlanAttempt,
  list: CutList,
  smallClips: readonly boolean[],
): Promise<void> {
  const starts = shotStarts(list);
  for (const [index, { clip, frames, transition }] of list.shots.entries()) {
    const before = transition === 'cut' ? undefined : list.shots[index - 1];
    const isSmall = [clip, ...(before === undefined ? [] : [before.clip])].some(
      (number) => smallClips[number],
    );
    // For people: what the unit that has it renders. The list itself lies beside it.
    const shot = { shot: index, filmFrom: starts[index], frames, clip: list.clips[clip]!.name };
    await writeFile(
      join(work.directory, shotFileName(index, isSmall)),
      `${JSON.stringify(shot)}\n`,
    );
  }
}

/** Which clips go through the model, and which need not. */
function enlargedText(
  { shots }: CutList,
  clips: readonly ClipAnalysis[],
  smallClips: readonly boolean[],
): string {
  const used = clips.map(({ name, picture: { width, height } }, index) => ({
    isSmall: smallClips[index] === true,
    count: shots.filter(({ clip }) => clip === index).length,
    text: `${name} (${width}x${height})`,
  }));
  const named = (wanted: boolean): string =>
    used
      .filter(({ isSmall, count }) => isSmall === wanted && count > 0)
      .map(({ text, count }) => `${text}, ${count} ${count === 1 ? 'shot' : 'shots'}`)
      .join('; ') || 'none';
  return `through the model: ${named(true)}. Large enough: ${named(false)}`;
}

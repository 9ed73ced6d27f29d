/**
 * Looks at clips that are to be joined, before any of them is encoded: the form of the film, how many of its
 * frames each clip becomes, and the plan by which it is then joined and proven like any other film.
 */
import { copyFile, link } from 'node:fs/promises';
import { join } from 'node:path';
import type { SurveyClipsTask } from '../../../proto/gen/furrow/v1/task_film.ts';
import { clipPlaces, frameTicks, steadyRate, type ClipPlace, type FilmForm } from './clip-form.ts';
import { writeClips } from './clips-plan.ts';
import { readTimes } from './film-clock.ts';
import { FilmFault } from './film-fault.ts';
import { writePlan, type FilmPlan } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { MAX_FRAMES, MAX_SIDE_PIXELS } from './media-limits.ts';
import { describePicture } from './picture.ts';
import { bitsOf, isDeep } from './pixel-depth.ts';
import { shownPicture } from './shown-picture.ts';
import { probeAndDecode, streamsOf } from './source-facts.ts';
import { secondsOf } from './timeline.ts';

type SurveyAttempt = FilmAttempt<SurveyClipsTask>;

/** What was seen of one clip. */
interface SeenClip {
  readonly name: string;
  /** As it is shown. */
  readonly width: number;
  readonly height: number;
  readonly frameRate: string;
  readonly sourceFrames: number;
  readonly durationSeconds: number;
  readonly delayUs: number;
  readonly sound: { readonly sampleRate: number; readonly channels: number } | undefined;
  readonly isHdr: boolean;
  /** More than eight bits a value. */
  readonly isDeep: boolean;
}

export const surveyClipsRunner = filmRunner('surveyClips', surveyClips);

async function surveyClips(attempt: SurveyAttempt): Promise<void> {
  const { work, task, context } = attempt;
  const seen: SeenClip[] = [];
  for (const clip of task.clips) {
    seen.push(await namingClip(clip, () => lookAt(attempt, clip)));
    context.progress((0.9 * seen.length) / task.clips.length, seen.length, clip.name);
  }
  const form = formOf(task, seen);
  const durations = seen.map(({ durationSeconds }) => durationSeconds);
  const places = clipPlaces(durations, form);
  const frames = places.reduce((sum, place) => sum + place.frames, 0);
  if (frames > MAX_FRAMES) {
    const message = `the clips are ${frames} frames together, at most ${MAX_FRAMES} are taken: join fewer`;
    throw new FilmFault('invalid-input', message);
  }
  // As deep as the deepest: the others lose nothing by it.
  const pixelFormat = seen.some((clip) => clip.isDeep) ? 'yuv420p10le' : 'yuv420p';
  await writeClips(work.directory, {
    version: 1,
    form,
    clips: seen.map(({ name, sourceFrames, delayUs }, i) => ({
      name,
      sourceFrames,
      delayUs,
      samples: places[i]!.samples,
    })),
  });
  await writePlan(work.directory, planOf(form, places, pixelFormat));
  for (const [i, clip] of task.clips.entries()) {
    const from = join(work.directory, clip.source);
    const to = join(work.directory, pieceName(i));
    await link(from, to).catch(() => copyFile(from, to));
  }
  const { width, height, rateNum, rateDen, sampleRate, channels } = form;
  const sound = channels === 0 ? 'no sound' : `${sampleRate} Hz, ${channels} channels`;
  context.log(
    `${seen.length} clips, ${frames} frames of ${width}x${height} at ${rateNum}/${rateDen} in ${bitsOf(pixelFormat)} bits, ${sound}`,
  );
  for (const { name, isHdr } of seen) {
    if (isHdr) context.log(`${name} is HDR: its brightness becomes that of the other clips`);
  }
}

/** Units call their inputs by number; people do not. */
async function namingClip<T>(
  { source, name }: { readonly source: string; readonly name: string },
  look: () => Promise<T>,
): Promise<T> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof FilmFault)) throw error;
    throw new FilmFault(
      error.kind,
      error.message.replaceAll(source, () => name),
    );
  }
}

async function lookAt(
  attempt: SurveyAttempt,
  { source, name }: { readonly source: string; readonly name: string },
): Promise<SeenClip> {
  const { media } = attempt;
  const sizeBytes = await media.sizeOf(source);
  if (sizeBytes === undefined || sizeBytes === 0) {
    const what = sizeBytes === 0 ? 'is empty' : "is none of the unit's inputs: name it as one";
    throw new FilmFault('invalid-input', `${source} ${what}`);
  }
  const facts = await probeAndDecode(media, source);
  const shown = shownPicture(source, facts);
  const picture = describePicture(shown.stream);
  const { times, timeBase, lastFrameTicks, ownClock } = await readTimes(
    attempt,
    source,
    shown.stream,
    facts,
  );
  const start = Number(facts.format.start_time ?? 0);
  const origin = ownClock && Number.isFinite(start) ? start : 0;
  const [audio] = streamsOf(facts, 'audio');
  const { channels = 0, sample_rate } = audio ?? {};
  return {
    name,
    width: shown.width,
    height: shown.height,
    frameRate: picture.frameRate,
    sourceFrames: times.length,
    durationSeconds: secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase),
    delayUs: Math.round((secondsOf(times[0]!, timeBase) - origin) * 1e6),
    sound:
      audio === undefined ? undefined : { sampleRate: Number(sample_rate) || 48_000, channels },
    isHdr: shown.isHdr,
    isDeep: isDeep(picture.pixelFormat),
  };
}

function formOf(task: SurveyClipsTask, seen: readonly SeenClip[]): FilmForm {
  const first = seen[0];
  if (first === undefined) throw new FilmFault('invalid-input', 'the task names no clips');
  const [rateNum, rateDen] = rateOf(task.frameRate) ?? steadyRate(first.frameRate);
  const even = (side: number): number => Math.max(16, Math.floor(side / 2) * 2);
  const sound = seen.find((clip) => clip.sound !== undefined)?.sound;
  return {
    width: Math.min(MAX_SIDE_PIXELS, even(task.width || first.width)),
    height: Math.min(MAX_SIDE_PIXELS, even(task.height || first.height)),
    rateNum,
    rateDen,
    sampleRate: sound === undefined ? 0 : task.sampleRate || usualSampleRate(sound.sampleRate),
    channels: sound === undefined ? 0 : task.channels || Math.min(2, Math.max(1, sound.channels)),
  };
}

/** What every encoder takes. */
function usualSampleRate(rate: number): number {
  return [48_000, 44_100, 32_000, 24_000, 16_000].includes(rate) ? rate : 48_000;
}

function rateOf(frameRate: string): readonly [number, number] | undefined {
  const [, num, den = '1'] = /^([1-9]\d{0,5})(?:\/([1-9]\d{0,5}))?$/.exec(frameRate) ?? [];
  return num === undefined ? undefined : [Number(num), Number(den)];
}

/** The film as if it were a source: one frame after the other, each clip a piece. */
function planOf(form: FilmForm, places: readonly ClipPlace[], pixelFormat: string): FilmPlan {
  const { den, step } = frameTicks(form);
  const frames = places.reduce((sum, place) => sum + place.frames, 0);
  const hasSound = form.channels > 0;
  return {
    version: 1,
    source: {
      name: `${places.length} clips`,
      codec: 'several',
      width: form.width,
      height: form.height,
      pixelFormat,
      stream: 0,
      frameRate: `${form.rateNum}/${form.rateDen}`,
      orientation: [1, 0, 0, 1],
      colour: { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' },
      masteringDisplay: '',
      contentLight: '',
      audioTracks: hasSound ? 1 : 0,
      tracks: hasSound ? [{ index: 1, type: 'audio', dispositions: ['default'] }] : [],
    },
    timeBase: { num: 1, den },
    videoDelayUs: 0,
    frames,
    times: { first: 0, runs: frames > 1 ? [[step, frames - 1]] : [] },
    lastFrameTicks: step,
    mode: 'whole',
    pieces: places.map(({ firstFrame, frames: count }, i) => ({
      name: pieceName(i),
      firstFrame,
      frames: count,
      timeBase: { num: 1, den },
      shiftTicks: 0,
    })),
  };
}

function pieceName(i: number): string {
  return `piece-${String(i).padStart(5, '0')}.bin`;
}

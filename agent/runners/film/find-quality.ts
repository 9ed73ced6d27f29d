/**
 * Finds the constant quality at which samples of a film are as like their source as wanted: they are encoded
 * at a few qualities, decoded, and held against what was encoded. The same film and the same encoder give
 * the same answer on every agent.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FindQualityTask } from '../../../proto/gen/furrow/v1/task.ts';
import { filterFault } from './encode.ts';
import {
  DEFAULT_ENCODING,
  qualityRange,
  settingsFor,
  type EncoderSettings,
} from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmTimeline } from './film-frames.ts';
import { readPlan, type FilmPlan } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { losslessOptions } from './lossless.ts';
import { bookedThreads } from './media-process.ts';
import { writeQuality, type QualityProbe } from './quality-facts.ts';
import { chosenQuality, nextQuality, sampleStarts } from './quality-search.ts';
import { secondsOf } from './timeline.ts';

type QualityAttempt = FilmAttempt<FindQualityTask>;

export const findQualityRunner = filmRunner('findQuality', findQuality);

const MOST_SAMPLES = 5;
const SAMPLE_SECONDS = 2;
const MOST_SAMPLE_FRAMES = 120;

/** Taking the samples costs about as much as a trial. */
const SAMPLING_SHARE = 0.2;

async function findQuality(attempt: QualityAttempt): Promise<void> {
  const { work, task, context } = attempt;
  const target = task.targetSsim;
  if (!(target > 0 && target < 1)) {
    throw new FilmFault('invalid-input', `a likeness of ${target} is none: above 0 and below 1`);
  }
  const plan = await readPlan(work.directory);
  const video = task.video ?? DEFAULT_ENCODING;
  const settings = (crf: number): EncoderSettings =>
    settingsFor({ ...video, crf, bitrateBps: 0 }, plan, video.threads || bookedThreads(work));
  const samples = await takeSamples(attempt, plan, settings(0));
  const range = qualityRange(video.encoder);
  const probes: QualityProbe[] = [];
  let crf = nextQuality(probes, target, range);
  while (crf !== undefined) {
    const ssim = await likenessAt(attempt, samples, settings(crf));
    probes.push({ crf, ssim });
    context.log(`crf ${crf}: SSIM ${ssim.toFixed(5)}`);
    const share = 1 - (1 - SAMPLING_SHARE) / (1 + probes.length);
    context.progress(share, 1 + probes.length, `crf ${crf}`);
    crf = nextQuality(probes, target, range);
  }
  const chosen = chosenQuality(probes, target);
  if (chosen === undefined) throw new FilmFault('failed', 'no quality was tried');
  const short = chosen.ssim < target ? ', the best there is' : '';
  context.log(
    `crf ${chosen.crf} for an SSIM of ${target}: samples have ${chosen.ssim.toFixed(5)}${short}`,
  );
  await writeQuality(work.directory, { version: 1, targetSsim: target, ...chosen, probes });
  for (const name of [...samples, TRIAL]) await rm(join(work.directory, name), { force: true });
  context.progress(1, 2 + probes.length, `crf ${chosen.crf}`);
}

const TRIAL = 'trial.mkv';

/** Pictures as the encoder is given them, kept without loss. */
async function takeSamples(
  { media, task, context }: QualityAttempt,
  plan: FilmPlan,
  settings: EncoderSettings,
): Promise<string[]> {
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const seconds = secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase);
  const { width = 0, height = 0 } = task.video ?? {};
  const { source } = plan;
  const larger = Math.max(1, width / source.width, height / source.height);
  const pixels = source.width * source.height * larger ** 2;
  const names: string[] = [];
  for (const [i, start] of sampleStarts(seconds, SAMPLE_SECONDS, MOST_SAMPLES).entries()) {
    const name = `sample-${i}.mkv`;
    const woven = plan.deinterlace === undefined ? [] : [`bwdif=parity=${plan.deinterlace.parity}`];
    const options = [
      ['-map', `0:${plan.source.stream}`, '-vf', [...woven, ...settings.filters].join(',')],
      ['-fps_mode', 'passthrough', '-frames:v', String(MOST_SAMPLE_FRAMES)],
      ['-t', String(SAMPLE_SECONDS), ...losslessOptions(pixels), '-f', 'matroska'],
    ].flat();
    const input = { name: task.source, options: ['-noautorotate', '-ss', start.toFixed(3)] };
    const run = await media.ffmpeg([input], [{ name: { file: name }, options }]);
    if (!run.ok) throw filterFault(run) ?? processFault(run, `taking samples of ${task.source}`);
    if (((await media.sizeOf(name)) ?? 0) > 0) names.push(name);
    context.progress(SAMPLING_SHARE * ((i + 1) / MOST_SAMPLES), 1, 'taking samples');
  }
  return names;
}

/** Mean structural similarity of all frames of all samples. */
async function likenessAt(
  { media }: QualityAttempt,
  samples: readonly string[],
  settings: EncoderSettings,
): Promise<number> {
  let sum = 0;
  let frames = 0;
  for (const sample of samples) {
    const upload = settings.upload ?? [];
    const options = [
      ['-map', '0:v:0', '-vf', ['null', ...upload].join(',')],
      ['-fps_mode', 'passthrough', ...settings.options],
    ].flat();
    const encoded = await media.ffmpeg(
      [{ name: sample, options: settings.device ?? [] }],
      [{ name: { file: TRIAL }, options: [...options, '-f', 'matroska'] }],
      undefined,
      { limitMs: Infinity },
    );
    if (!encoded.ok) throw processFault(encoded, 'encoding a sample');
    const graph = '[0:v]settb=1/1000,setpts=N[a];[1:v]settb=1/1000,setpts=N[b];[a][b]ssim=f=-';
    const compared = await media.ffmpegLines(
      [{ name: TRIAL }, { name: sample }],
      ['-filter_complex', graph, '-fps_mode', 'passthrough', '-f', 'null'],
      (line) => {
        const all = Number(/ All:([\d.]+)/.exec(line)?.[1] ?? NaN);
        if (!Number.isFinite(all)) return;
        sum += all;
        frames += 1;
      },
    );
    if (!compared.ok) throw processFault(compared, 'comparing a sample');
  }
  if (frames === 0) throw new FilmFault('invalid-input', 'no sample of the film can be decoded');
  return sum / frames;
}

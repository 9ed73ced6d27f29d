/** Encodes one piece as fast as its encoder can at its usual constant quality, to see how many bits it takes. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { MeasureTask } from '../../../proto/gen/furrow/v1/task.ts';
import { filterFault } from './encode.ts';
import { DEFAULT_ENCODING, fastestPreset, settingsFor } from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmTimeBase, pieceFrames } from './film-frames.ts';
import { readPlan } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads } from './media-process.ts';
import {
  exactTimes,
  ownPictureFilters,
  pieceInput,
  pieceStream,
  rateFilters,
} from './piece-graph.ts';
import { writeMeasure } from './rate-plan.ts';

export const measureRunner = filmRunner('measure', measure);

const TRIAL = 'measured.mp4';

async function measure(attempt: FilmAttempt<MeasureTask>): Promise<void> {
  const { work, task, media, context } = attempt;
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  const wanted = task.video ?? DEFAULT_ENCODING;
  const preset = fastestPreset(wanted.encoder);
  const video = { ...wanted, preset, crf: 0, bitrateBps: 0 };
  const settings = settingsFor(video, plan, wanted.threads || bookedThreads(work));
  const filters = [
    ...ownPictureFilters(plan, piece),
    ...settings.filters,
    ...rateFilters(plan, piece),
    ...(settings.upload ?? []),
  ];
  const { frames } = pieceFrames(piece);
  const run = await media.ffmpeg(
    [pieceInput(plan, piece, settings.device)],
    [
      {
        name: { file: TRIAL },
        options: [
          ['-filter_complex', `${pieceStream(plan)}${filters.join(',')}[film]`, '-map', '[film]'],
          [...exactTimes(filmTimeBase(plan).den), ...settings.options, '-f', 'mp4'],
        ].flat(),
      },
    ],
    ({ frame }) => context.progress(Math.min(1, frame / frames), frame, 'measuring'),
    { limitMs: Infinity },
  );
  if (!run.ok) throw filterFault(run) ?? processFault(run, `measuring ${piece.name}`);
  const { size } = await stat(join(work.directory, TRIAL));
  await rm(join(work.directory, TRIAL));
  await writeMeasure(work.directory, { version: 1, piece: piece.name, bits: size * 8 });
  context.log(`${piece.name}: ${size * 8} bits as measured`);
}

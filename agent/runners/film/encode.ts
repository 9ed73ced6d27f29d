/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk. All of it here, so that the checks run in parallel on the agents.
 */
import type { EncodeTask } from '../../../proto/gen/furrow/v1/task.ts';
import { MAKE_SHARE, SOURCE_THUMBS, vouchFor } from './check-chunk.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import {
  chunkFrames,
  filmFrameRate,
  filmTimeBase,
  pictureBase,
  pieceFrames,
} from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { ownPictureFilters, rateFilters } from './piece-graph.ts';
import { THUMB_FILTER } from './picture-likeness.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;

export const encodeRunner = filmRunner('encode', encode);

async function encode(attempt: EncodeAttempt): Promise<void> {
  const { work } = attempt;
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  refuseBetween(plan);
  const frames = chunkFrames(plan, piece);
  const settings = settingsFor(attempt, plan);
  const decoded = await encodePiece(attempt, plan, piece, settings);
  const { pixelFormat } = settings;
  await vouchFor(attempt, { plan, piece, frames, pixelFormat, decoded });
}

/** Only other steps make frames that the source does not have. */
function refuseBetween({ film }: FilmPlan): void {
  if (film === undefined || (film.retime.factor <= 1 && !film.retime.between)) return;
  throw new FilmFault('invalid-input', 'the plan wants frames between those of the source');
}

function settingsFor({ task, work }: EncodeAttempt, plan: FilmPlan): EncoderSettings {
  const video = task.video ?? {
    encoder: '',
    crf: 0,
    preset: '',
    width: 0,
    height: 0,
    threads: 0,
  };
  const encoder = knownEncoder(video.encoder);
  if (encoder === undefined) {
    throw new FilmFault('invalid-input', `encoder ${video.encoder} is not known`);
  }
  const threads = video.threads || bookedThreads(work);
  return encoderSettings(
    encoder,
    video,
    { ...plan.source, frameRate: filmFrameRate(plan) },
    threads,
  );
}

async function encodePiece(
  { media, context }: EncodeAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  settings: EncoderSettings,
): Promise<MediaRun> {
  const { den } = filmTimeBase(plan);
  const { frames } = pieceFrames(piece);
  const stream = plan.mode === 'whole' ? plan.source.stream : 'v:0';
  const graph =
    `[0:${stream}]${[...ownPictureFilters(plan, piece), ...settings.filters].join(',')},split[own][copy];` +
    `[own]${[...rateFilters(plan, piece), 'null'].join(',')}[film];[copy]${THUMB_FILTER}[thumbs]`;
  const timedIn = (ticksPerSecond: number): string[] =>
    [['-fps_mode', 'passthrough'], '-enc_time_base', `1/${ticksPerSecond}`].flat();
  const run = await media.ffmpeg(
    [
      {
        name: piece.name,
        options: ['-noautorotate', ...(plan.mode === 'cut' ? ['-copyts'] : [])],
      },
    ],
    [
      {
        name: { file: chunkName(piece) },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...timedIn(den), ...settings.options],
          [
            '-map_metadata',
            '-1',
            '-map_chapters',
            '-1',
            '-video_track_timescale',
            String(den),
            '-f',
            'mp4',
          ],
        ].flat(),
      },
      {
        name: { file: SOURCE_THUMBS },
        options: ['-map', '[thumbs]', ...timedIn(pictureBase(plan).den), '-f', 'rawvideo'],
      },
    ],
    ({ frame, fps }) =>
      context.progress(
        MAKE_SHARE * Math.min(1, frame / frames),
        frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw filterFault(run) ?? processFault(run, `encoding ${piece.name}`);
  return run;
}

/** Some builds of ffmpeg leave filters out; another agent may have them. */
function filterFault({ complaints }: MediaRun): FilmFault | undefined {
  const missing = complaints
    .map((line) => /No such filter: '(\w+)'/.exec(line)?.[1])
    .find((filter) => filter !== undefined);
  return missing === undefined
    ? undefined
    : new FilmFault(
        'failed',
        `this agent's ffmpeg has no filter ${missing}: install a build with it (zscale is in those with libzimg)`,
      );
}

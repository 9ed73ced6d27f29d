/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk. All of it here, so that the checks run in parallel on the agents.
 */
import type { EncodeTask } from '../../../proto/gen/furrow/v1/task.ts';
import { checkChunk, ENCODE_SHARE, sealChunk, SOURCE_THUMBS } from './check-chunk.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from './encoder-settings.ts';
import { FilmFault, processFault } from './film-fault.ts';
import { filmFrameRate, filmTimeBase, pieceFrames } from './film-frames.ts';
import { chunkName, readPlan, type FilmPlan, type PlanPiece } from './film-plan.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';
import { ownFrameFilters, rateFilters } from './piece-graph.ts';
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
  const settings = settingsFor(attempt, plan);
  const run = await encodePiece(attempt, plan, piece, settings);
  const checked = await checkChunk(attempt, plan, piece, run);
  await sealChunk(work.directory, piece, checked, settings.pixelFormat);
}

/** Only other steps make frames that the source does not have. */
function refuseBetween({ film }: FilmPlan): void {
  if (film === undefined || (film.retime.factor === 0 && !film.retime.between)) return;
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
    `[0:${stream}]${[...ownFrameFilters(plan, piece), ...settings.filters].join(',')},split[own][copy];` +
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
        options: ['-map', '[thumbs]', ...timedIn(plan.timeBase.den), '-f', 'rawvideo'],
      },
    ],
    ({ frame, fps }) =>
      context.progress(
        ENCODE_SHARE * Math.min(1, frame / frames),
        frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `encoding ${piece.name}`);
  return run;
}

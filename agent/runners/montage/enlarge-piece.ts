/**
 * Makes the frames of a piece larger by a model, and then as large as they fill the film: `large-00012.nut`, without
 * loss, and `large-00012.gray`, tiny copies. Each frame that the clip has goes through the model once, however often
 * the film shows it. Held against what the look at the clip saw, before the model, and against that after it. One
 * ffmpeg decodes, the model's process makes larger frames of what comes, another ffmpeg brings them to the film.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { EnlargeShotTask, MontageFilm } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { type FrameSize, PIPE_IN, PIPE_OUT } from '../../models/model-work.ts';
import { throughModel } from '../../models/through-model.ts';
import { upscalingManifest } from '../../models/upscaling-manifest.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import type { FilmAttempt } from '../film/film-runner.ts';
import { frameTimes, readPackets } from '../film/frame-index.ts';
import { losslessOptions } from '../film/lossless.ts';
import { EXACT_SCALING, isLuma } from '../film/model-frames.ts';
import { compareThumbs, THUMB_BYTES, THUMB_FILTER } from '../film/picture-likeness.ts';
import { uprightFilters } from '../film/picture.ts';
import { packTimes, type TimeBase } from '../film/timeline.ts';
import { frameAt } from './conform.ts';
import { type CutList } from './cut-list.ts';
import { fillFilters, inMatrix, wholeFilters } from './picture-filters.ts';
import { footageFiles, type Footage, type Piece, pieceName, pieceThumbsName } from './pieces.ts';
import { refuseOtherThumbs } from './planned-thumbs.ts';
import { pieceFilters, shownFromZero } from './shot-graph.ts';

type EnlargeAttempt = FilmAttempt<EnlargeShotTask>;

/** Of the piece's frames, as the film counts them; of those that the model gets; of what it made, as the film counts. */
const SEEN_THUMBS = 'thumbs-seen.gray';
const GIVEN_THUMBS = 'thumbs-given.gray';
const MADE_THUMBS = 'thumbs-made.gray';

/** Two ffmpeg processes, and a decoder's frames. */
const FFMPEG_BYTES = 160 * 2 ** 20;
/** Large frames on their way to the film's size, for each of their pixels. */
const BYTES_A_PIXEL = 48;

interface Passage {
  readonly film: MontageFilm;
  readonly list: CutList;
  readonly footage: Footage & { readonly largeFrom: number };
  readonly manifest: ModelManifest;
  /** Of the frames, the right way up. */
  readonly size: FrameSize;
  readonly large: FrameSize;
  /** Of the frames that go through the model, since the clip's frame 0. */
  readonly ticks: readonly number[];
  readonly timeBase: TimeBase;
  /** Filters from the piece's pictures to those frames. */
  readonly taken: readonly string[];
}

/** `largeFrom`: the first of the piece's frames that is needed. `onDone` is told which share is done, 0 to 1. */
export async function enlargePiece(
  attempt: EnlargeAttempt,
  { film, list, piece }: { film: MontageFilm; list: CutList; piece: Piece },
  largeFrom: number,
  onDone: (share: number, counter: number) => void,
): Promise<Footage> {
  const passage = await passageOf(attempt, { film, list, piece }, largeFrom);
  await sendThrough(attempt, passage, onDone);
  await refuseOthers(attempt, passage);
  for (const name of [SEEN_THUMBS, GIVEN_THUMBS, MADE_THUMBS]) {
    await rm(join(attempt.work.directory, name));
  }
  return passage.footage;
}

async function passageOf(
  { media, task }: EnlargeAttempt,
  { film, list, piece }: { film: MontageFilm; list: CutList; piece: Piece },
  largeFrom: number,
): Promise<Passage> {
  const manifest = upscalingManifest(task.use?.model);
  const size = uprightStored(piece);
  const { scale } = manifest;
  const large = { width: size.width * scale, height: size.height * scale };
  if (large.width * large.height > MAX_PIXELS) {
    const clip = list.clips[list.shots[piece.shot]!.clip]!.name;
    const what = `${clip} would become ${large.width}x${large.height}`;
    throw new FilmFault('invalid-input', `${what}, beyond 8K: choose a model of a smaller scale`);
  }
  const frames = await framesOf(media, piece, list, largeFrom);
  return { film, list, footage: { ...piece, largeFrom }, manifest, size, large, ...frames };
}

function uprightStored({ picture: { width, height, orientation } }: Piece): FrameSize {
  return orientation[0] === 0 ? { width: height, height: width } : { width, height };
}

/** The clip's own frames of the piece, from the one on that is shown at `largeFrom`. */
async function framesOf(
  media: EnlargeAttempt['media'],
  { shot, packets, from, frames }: Piece,
  { rate }: CutList,
  largeFrom: number,
): Promise<Pick<Passage, 'ticks' | 'timeBase' | 'taken'>> {
  if (packets === undefined) {
    const ticks = Array.from({ length: frames - largeFrom }, (_, i) => from + largeFrom + i);
    const taken = [`trim=start_frame=${largeFrom}:end_frame=${frames}`];
    return { ticks, timeBase: { num: rate.den, den: rate.num }, taken };
  }
  const name = pieceName(shot);
  const index = await readPackets(media, name, 'v:0');
  const times = frameTimes(index.packets);
  if (times === undefined || index.timeBase === undefined) {
    throw new FilmFault('bad-output', `${name} does not say when its frames are shown`);
  }
  const { timeBase } = index;
  const { startTicks, endTicks, zeroTicks } = packets;
  const own = times.filter((time) => time >= startTicks && time < endTicks);
  const first = own.findLastIndex(
    (time) => frameAt(time - zeroTicks, timeBase, rate) <= from + largeFrom,
  );
  const needed = own.slice(Math.max(0, first));
  return {
    ticks: needed.map((time) => time - zeroTicks),
    timeBase,
    taken: [`trim=start_pts=${needed[0]}:end_pts=${endTicks}`],
  };
}

async function sendThrough(
  attempt: EnlargeAttempt,
  passage: Passage,
  onDone: (share: number, counter: number) => void,
): Promise<void> {
  const { context, task } = attempt;
  const { size, large, ticks, timeBase } = passage;
  const pixels = large.width * large.height;
  await throughModel(context, {
    request: {
      model: task.use!.model!,
      provider: task.use!.provider,
      reservedBytes: FFMPEG_BYTES + pixels * BYTES_A_PIXEL,
    },
    otherBytes: (size.width * size.height + pixels) * 3,
    workOf: (roomPixels) => ({
      kind: 'upscale',
      ...size,
      frames: ticks.length,
      times: { timeBase, ...packTimes(ticks) },
      endTicks: endOf(passage) - ticks[0]!,
      roomPixels,
    }),
    feed: (signal) => decode(attempt, passage, signal),
    drain: (signal) => store(attempt, passage, signal),
    onTold: (told) => {
      if (told.event !== 'progress') return;
      // Parts of a frame count: one may take minutes.
      onDone(Math.min(1, told.done / ticks.length), Math.ceil(told.done * 100));
    },
  });
}

/** Beyond the last frame that the film shows of it. */
function endOf({ footage: { from, frames }, list: { rate }, ticks, timeBase }: Passage): number {
  const end = ((from + frames + 1) * rate.den * timeBase.den) / (rate.num * timeBase.num);
  return Math.max(Math.ceil(end), ticks.at(-1)! + 1);
}

const PASSTHROUGH = ['-fps_mode', 'passthrough', '-f', 'rawvideo'];

async function decode(
  { media }: EnlargeAttempt,
  { list, footage, manifest, size, ticks, taken }: Passage,
  signal: AbortSignal,
): Promise<void> {
  const { largeFrom: _largeFrom, ...piece } = footage;
  const { picture, packets } = piece;
  const scale = `scale=${size.width}:${size.height}:${EXACT_SCALING}:in_range=auto${inMatrix(picture)}`;
  const format = isLuma(manifest)
    ? `${scale}:out_color_matrix=bt709:out_range=pc,format=yuv444p`
    : `${scale},format=rgb24`;
  const seen = [...pieceFilters(piece, list), ...uprightFilters(picture.orientation), THUMB_FILTER];
  const graph = [
    '[0:v:0]split[film][look]',
    `[look]${seen.join(',')}[seen]`,
    `[film]${[...taken, ...wholeFilters(picture)].join(',')},split[whole][copy]`,
    `[whole]${format}[frames]`,
    `[copy]${THUMB_FILTER}[given]`,
  ].join(';');
  let decoded = 0;
  const name = pieceName(piece.shot);
  const run = await media.ffmpeg(
    [{ name, options: ['-noautorotate', ...(packets === undefined ? [] : ['-copyts'])] }],
    [
      {
        name: { file: PIPE_IN },
        options: ['-filter_complex', graph, '-map', '[frames]', ...PASSTHROUGH],
      },
      { name: { file: GIVEN_THUMBS }, options: ['-map', '[given]', ...PASSTHROUGH] },
      { name: { file: SEEN_THUMBS }, options: ['-map', '[seen]', ...PASSTHROUGH] },
    ],
    ({ frame }) => {
      decoded = frame;
    },
    { limitMs: Infinity, signal },
  );
  if (!run.ok) throw processFault(run, `decoding ${name}`);
  if (decoded >= ticks.length) return;
  const why = run.complaints[0] === undefined ? '' : `: ${oneLine(run.complaints[0])}`;
  const what = `${name} has ${ticks.length} frames, of which ${decoded} can be decoded`;
  throw new FilmFault('bad-output', `${what}${why}`);
}

async function store(
  { media, task }: EnlargeAttempt,
  { film, list, footage, manifest, ticks }: Passage,
  signal: AbortSignal,
): Promise<void> {
  const { rate } = list;
  const files = footageFiles(footage);
  const from = isLuma(manifest) ? 'in_range=pc:in_color_matrix=bt709' : '';
  const shown = [
    // A model's process counts from its first picture.
    `setpts=PTS-STARTPTS+${ticks[0]}`,
    ...shownFromZero(footage, footage.largeFrom, rate),
    'split[made][look]',
  ].join(',');
  const filled = [
    ...fillFilters(film, footage.picture, from),
    `settb=1/${rate.num}`,
    'split[large][copy]',
  ].join(',');
  const graph = [
    `[0:v:0]${shown}`,
    `[look]${THUMB_FILTER}[whole]`,
    `[made]${filled}`,
    `[copy]${THUMB_FILTER}[thumbs]`,
  ].join(';');
  const exact = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${rate.num}`];
  const run = await media.ffmpeg(
    [{ name: PIPE_OUT, pipe: true, options: ['-f', 'nut', '-copyts'] }],
    [
      {
        name: { file: files.frames },
        options: [
          ['-filter_complex', graph, '-map', '[large]', ...exact],
          [...losslessOptions(film.width * film.height), '-f', 'nut'],
        ].flat(),
      },
      { name: { file: files.thumbs }, options: ['-map', '[thumbs]', ...PASSTHROUGH] },
      { name: { file: MADE_THUMBS }, options: ['-map', '[whole]', ...PASSTHROUGH] },
    ],
    () => undefined,
    { limitMs: Infinity, signal },
  );
  if (run.ok) return;
  const of = task.use?.model?.name ?? 'the model';
  throw processFault(run, `storing what ${of} made of ${pieceName(footage.shot)}`);
}

/** What went in is what the look at the clip saw; what came out is like it, frame by frame as the film counts them. */
async function refuseOthers(
  { work }: EnlargeAttempt,
  { footage, list, ticks, timeBase }: Passage,
): Promise<void> {
  const name = pieceName(footage.shot);
  const read = (file: string): Promise<Buffer> => readFile(join(work.directory, file));
  const planned = await read(pieceThumbsName(footage.shot));
  refuseOtherThumbs(name, planned, await read(SEEN_THUMBS), footage.frames);
  const [given, made] = [await read(GIVEN_THUMBS), await read(MADE_THUMBS)];
  const frames = footage.frames - footage.largeFrom;
  const found = made.length / THUMB_BYTES;
  const expected = Buffer.concat(
    Array.from({ length: frames }, (_, frame) => {
      const at = footage.from + footage.largeFrom + frame;
      const shown = ticks.findLastIndex((time) => frameAt(time, timeBase, list.rate) <= at);
      return given.subarray(Math.max(0, shown) * THUMB_BYTES).subarray(0, THUMB_BYTES);
    }),
  );
  const fault =
    found === frames && expected.length === made.length
      ? compareThumbs(expected, made).fault
      : `${found} frames, not ${frames}`;
  if (fault === undefined) return;
  throw new FilmFault('bad-output', `what the model made of ${name} is something else: ${fault}`);
}

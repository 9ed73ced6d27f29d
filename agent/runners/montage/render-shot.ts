/**
 * Renders one shot into a chunk of exactly its frames, and vouches for it: that its clip's frames are those that
 * the look at the whole clip saw there, that the chunk holds what was rendered, and that it decodes.
 */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { MontageFilm, RenderShotTask } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { writeSeal } from '../film/chunk-seal.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from '../film/encoder-settings.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { takeLines } from '../film/list-file.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import {
  digestOrder,
  digestPackets,
  FRAMEHASH,
  parsePacketHash,
  parseStreamHeader,
  type PacketHash,
  type StreamHeader,
} from '../film/packet-digest.ts';
import {
  compareThumbs,
  THUMB_BYTES,
  THUMB_FILTER,
  type Likeness,
} from '../film/picture-likeness.ts';
import { compareThumbFiles } from '../film/thumb-files.ts';
import { rateText } from './conform.ts';
import { type CutList, readCutList } from './cut-list.ts';
import {
  chunkFileName,
  pieceName,
  pieceThumbsName,
  readPiece,
  sealFileName,
  type Piece,
} from './pieces.ts';
import { isSteadied, motionGraph, shotGraph } from './shot-graph.ts';

type ShotAttempt = FilmAttempt<RenderShotTask>;

const SOURCE_THUMBS = 'thumbs-source.gray';
const RENDERED_THUMBS = 'thumbs-rendered.gray';
const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** What is counted goes on from one pass over the frames to the next: more than any shot has. */
const PASS = 1_000_000;

/** Two decodings of the same packets differ by nothing; two versions of a decoder or scaler by very little. */
const MAX_DECODING_DIFFERENCE = 2;

/** Where a clip's colour samples lay goes with its frames into the header, which all shots must share. */
const SAME_HEADER = {
  libx264: 'h264_metadata=chroma_sample_loc_type=0',
  libx265: 'hevc_metadata=chroma_sample_loc_type=0',
} as const;

export const renderShotRunner = filmRunner('renderShot', renderShot);

interface ShotWork {
  readonly film: MontageFilm;
  readonly list: CutList;
  readonly own: Piece;
  readonly before: Piece | undefined;
  /** Of the chunk. */
  readonly frames: number;
}

async function renderShot(attempt: ShotAttempt): Promise<void> {
  const { task, work } = attempt;
  const { film } = task;
  if (film === undefined) throw new FilmFault('invalid-input', 'the task has no film');
  const list = await readCutList(work.directory);
  const index = Number(/^shot-(\d{5})\.json$/.exec(work.item)?.[1] ?? NaN);
  const shot = list.shots[index];
  if (shot === undefined)
    throw new FilmFault('invalid-input', `${work.item} is no shot of the list`);
  const own = await readPiece(work.directory, index);
  const before = shot.transition === 'cut' ? undefined : await readPiece(work.directory, index - 1);
  const job: ShotWork = { film, list, own, before, frames: shot.frames };
  for (const [pass, piece] of [own, ...(before === undefined ? [] : [before])].entries()) {
    if (isSteadied(film, piece)) await watchMotion(attempt, job, piece, pass);
  }
  const settings = settingsFor(film, list);
  await encode(attempt, job, settings);
  await refuseOtherFrames(attempt, job);
  const { header, packets, likeness } = await checkChunk(attempt, job);
  await writeSeal(work.directory, sealFileName(index), {
    version: 1,
    piece: pieceName(index),
    frames: shot.frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat: settings.pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
  });
  for (const name of [SOURCE_THUMBS, RENDERED_THUMBS, CHUNK_THUMBS]) {
    await rm(join(work.directory, name));
  }
}

type ShotSettings = EncoderSettings & { readonly encoder: keyof typeof SAME_HEADER };

function settingsFor(film: MontageFilm, list: CutList): ShotSettings {
  const encoder = knownEncoder(film.encoder);
  if (encoder !== 'libx264' && encoder !== 'libx265') {
    throw new FilmFault('invalid-input', `encoder ${film.encoder} is not known`);
  }
  if (!/^[a-z0-9]*$/.test(film.preset)) {
    throw new FilmFault('invalid-input', `preset ${film.preset} is not known`);
  }
  const video = {
    encoder,
    crf: film.crf,
    preset: film.preset,
    width: 0,
    height: 0,
    threads: film.threads,
  };
  const threads = Math.max(1, film.threads);
  return { ...encoderSettings(encoder, video, sourceOf(film, list), threads), encoder };
}

/** All shots come to the encoder alike, whatever their clips were. */
function sourceOf(film: MontageFilm, list: CutList): Parameters<typeof encoderSettings>[2] {
  return {
    name: film.name,
    codec: 'rawvideo',
    width: film.width,
    height: film.height,
    pixelFormat: 'yuv420p',
    stream: 0,
    frameRate: rateText(list.rate),
    orientation: [1, 0, 0, 1],
    colour: { range: 'tv', space: 'bt709', transfer: 'bt709', primaries: 'bt709' },
    masteringDisplay: '',
    contentLight: '',
    audioTracks: 0,
  };
}

async function watchMotion(
  { media, context }: ShotAttempt,
  { film, list, frames }: ShotWork,
  piece: Piece,
  pass: number,
): Promise<void> {
  const run = await media.ffmpeg(
    [{ name: pieceName(piece.shot), options: inputOptions(piece) }],
    [
      {
        name: 'null',
        options: ['-map', '0:v:0', '-vf', motionGraph(film, list, piece), '-f', 'null'],
      },
    ],
    ({ frame }) =>
      context.progress(0.1 * (pass + Math.min(1, frame / frames)), pass * PASS + frame, 'watching'),
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `watching ${pieceName(piece.shot)} move`);
}

function inputOptions({ packets }: Piece): string[] {
  return ['-noautorotate', ...(packets === undefined ? [] : ['-copyts'])];
}

async function encode(
  { media, context }: ShotAttempt,
  { film, list, own, before, frames }: ShotWork,
  settings: ShotSettings,
): Promise<void> {
  const { num } = list.rate;
  const exact = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${num}`];
  const graph = shotGraph(film, list, own, before, settings.filters);
  const raw = [...exact, '-f', 'rawvideo'];
  const run = await media.ffmpeg(
    [own, ...(before === undefined ? [] : [before])].map((piece) => ({
      name: pieceName(piece.shot),
      options: inputOptions(piece),
    })),
    [
      {
        name: { file: chunkFileName(own.shot) },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...exact, ...settings.options],
          ['-bsf:v', SAME_HEADER[settings.encoder]],
          ['-map_metadata', '-1', '-map_chapters', '-1'],
          ['-video_track_timescale', String(num), '-f', 'mp4'],
        ].flat(),
      },
      { name: { file: RENDERED_THUMBS }, options: ['-map', '[copy]', ...raw] },
      { name: { file: SOURCE_THUMBS }, options: ['-map', '[source]', ...raw] },
    ],
    ({ frame, fps }) =>
      context.progress(
        0.2 + 0.75 * Math.min(1, frame / frames),
        2 * PASS + frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // That frames come is what the step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `rendering shot ${own.shot + 1}`);
}

/** The piece's frames against those that the look at the whole clip saw: the same, and not their neighbours. */
async function refuseOtherFrames({ work }: ShotAttempt, { own }: ShotWork): Promise<void> {
  const seen = await readFile(join(work.directory, SOURCE_THUMBS));
  const planned = await readFile(join(work.directory, pieceThumbsName(own.shot)));
  const bytes = own.frames * THUMB_BYTES;
  if (seen.length !== bytes || planned.length !== bytes) {
    throw new FilmFault(
      'bad-output',
      `${pieceName(own.shot)} decodes to ${seen.length / THUMB_BYTES} frames, not ${own.frames}`,
    );
  }
  const likeness = compareThumbs(planned, seen);
  const other =
    likeness.fault ??
    (likeness.worstDifference > MAX_DECODING_DIFFERENCE
      ? `a frame differs by ${likeness.worstDifference.toFixed(1)} grey levels`
      : undefined);
  if (other === undefined) return;
  throw new FilmFault('bad-output', `${pieceName(own.shot)} is not what its clip shows: ${other}`);
}

interface CheckedChunk {
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

async function checkChunk(
  { media, work, context }: ShotAttempt,
  { own, frames, list }: ShotWork,
): Promise<CheckedChunk> {
  const name = chunkFileName(own.shot);
  const run = await media.ffmpeg(
    [{ name, options: ['-copyts', '-err_detect', 'explode'] }],
    [
      {
        name: { file: CHUNK_THUMBS },
        options: [
          '-map',
          '0:v:0',
          '-vf',
          THUMB_FILTER,
          '-fps_mode',
          'passthrough',
          '-f',
          'rawvideo',
        ],
      },
      { name: { file: CHUNK_PACKETS }, options: ['-map', '0:v:0', ...FRAMEHASH] },
    ],
    ({ frame }) => context.progress(0.97, 3 * PASS + frame, 'checking'),
    { limitMs: decodeLimitMs(frames, MAX_PIXELS) },
  );
  if (!run.ok) throw processFault(run, `checking ${name}`);
  if (run.complaints.length > 0) {
    throw new FilmFault('bad-output', `${name} does not decode: ${oneLine(run.complaints[0]!)}`);
  }
  const header: string[] = [];
  const packets: PacketHash[] = [];
  await takeLines(work.directory, CHUNK_PACKETS, (line) => {
    const packet = parsePacketHash(line);
    if (packet !== undefined) packets.push(packet);
    else header.push(line);
  });
  refuseOtherTimes(name, packets, frames, list);
  const [rendered, chunk] = [RENDERED_THUMBS, CHUNK_THUMBS].map((part) =>
    join(work.directory, part),
  );
  for (const path of [rendered!, chunk!]) {
    const { size } = await stat(path);
    if (size === frames * THUMB_BYTES) continue;
    throw new FilmFault('bad-output', `${name} has ${size / THUMB_BYTES} frames, not ${frames}`);
  }
  const likeness = await compareThumbFiles(rendered!, chunk!, { sourceFrames: frames, frames });
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  return { header: parseStreamHeader(header), packets, likeness };
}

function refuseOtherTimes(
  name: string,
  packets: readonly PacketHash[],
  frames: number,
  { rate }: CutList,
): void {
  const times = packets.map(({ pts }) => pts).sort((a, b) => a - b);
  if (times.length !== frames) {
    throw new FilmFault('bad-output', `${name} has ${times.length} frames, not ${frames}`);
  }
  const wrong = times.findIndex((pts, i) => pts !== i * rate.den);
  if (wrong < 0) return;
  throw new FilmFault(
    'bad-output',
    `${name}: frame ${wrong} is at tick ${times[wrong]}, not ${wrong * rate.den}`,
  );
}

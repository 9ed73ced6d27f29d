/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk: number and times of its frames, that each shows what its source frame showed, and that it
 * decodes. All of it here, so that the checks run in parallel on the agents.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { EncodeTask } from '../../../proto/gen/furrow/v1/task.ts';
import type { UnitWork } from '../runner.ts';
import type { MediaOutput } from './ffmpeg-argv.ts';
import { FilmFault, oneLine, processFault } from './film-fault.ts';
import { filmRunner, type FilmAttempt } from './film-runner.ts';
import { encoderSettings, knownEncoder, type EncoderSettings } from './encoder-settings.ts';
import {
  chunkName,
  pieceTimes,
  readPlan,
  sealName,
  type FilmPlan,
  type PlanPiece,
} from './film-plan.ts';
import {
  digestOrder,
  digestPackets,
  FRAMEHASH,
  parsePacketHash,
  parseStreamHeader,
  type PacketHash,
  type StreamHeader,
} from './packet-digest.ts';
import { THUMB_BYTES, THUMB_FILTER, type Likeness } from './picture-likeness.ts';
import { compareThumbFiles } from './thumb-files.ts';
import { formatClock, rescale, secondsOf } from './timeline.ts';
import { writeSeal } from './chunk-seal.ts';
import { steadyFilters } from './steady.ts';
import { takeLines } from './list-file.ts';
import { decodeLimitMs } from './media-limits.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;
type ChunkAttempt = FilmAttempt<unknown>;

const SOURCE_THUMBS = 'thumbs-source.gray';
const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** Encoding is nearly all of the work; the rest is the check. */
const ENCODE_SHARE = 0.95;

export const encodeRunner = filmRunner('encode', encode);

async function encode(attempt: EncodeAttempt): Promise<void> {
  const { work, task } = attempt;
  const { plan, piece } = await planAndPiece(work);
  const before = task.steady === true ? await steadyFilters(work.directory, plan, piece) : [];
  await makeChunk(attempt, plan, piece, { settings: settingsFor(attempt, plan), before });
}

/** How a chunk is made of its piece. */
export interface ChunkMaking {
  readonly settings: EncoderSettings;
  /** Filters before those of the settings, on the picture as it is stored. */
  readonly before?: readonly string[];
  /** Chunks are MP4, but for codecs that only QuickTime carries. */
  readonly muxer?: 'mp4' | 'mov';
  /** Where the piece's frames lie; default: as the plan has them. */
  readonly frames?: PieceFrames;
  /** Written from the same decoded picture. */
  readonly besides?: readonly MediaOutput[];
}

interface PieceFrames {
  readonly stream: string;
  readonly inputOptions: readonly string[];
  /** From decoded frames to those of the piece, the first at 0, in ticks of the plan. */
  readonly filters: readonly string[];
}

/** The plan, and the piece of it that is the unit's item. Throws FilmFault. */
export async function planAndPiece(work: UnitWork): Promise<{ plan: FilmPlan; piece: PlanPiece }> {
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece !== undefined) return { plan, piece };
  throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
}

/** Writes the piece's `chunk-*` and `seal-*`. Throws FilmFault. */
export async function makeChunk(
  attempt: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  making: ChunkMaking,
): Promise<void> {
  const { work } = attempt;
  const { settings } = making;
  const run = await encodePiece(attempt, plan, piece, making);
  const { header, packets, likeness } = await checkChunk(attempt, plan, piece, run);
  await writeSeal(work.directory, sealName(piece), {
    version: 1,
    piece: piece.name,
    frames: piece.frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat: settings.pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
  });
  for (const name of [SOURCE_THUMBS, CHUNK_THUMBS]) await rm(join(work.directory, name));
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
  return encoderSettings(encoder, video, plan.source, threads);
}

async function encodePiece(
  { media, context }: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  { settings, before = [], muxer = 'mp4', frames, besides = [] }: ChunkMaking,
): Promise<MediaRun> {
  const { den } = plan.timeBase;
  const { stream, inputOptions, filters } = frames ?? plannedFrames(plan, piece);
  const graph =
    `[0:${stream}]${[...filters, ...before, ...settings.filters].join(',')},split[film][copy];` +
    `[copy]${THUMB_FILTER}[thumbs]`;
  const exactTimes = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${den}`];
  const run = await media.ffmpeg(
    [{ name: piece.name, options: ['-noautorotate', ...inputOptions] }],
    [
      {
        name: { file: chunkName(piece) },
        options: [
          ['-filter_complex', graph, '-map', '[film]', ...exactTimes, ...settings.options],
          [
            '-map_metadata',
            '-1',
            '-map_chapters',
            '-1',
            '-video_track_timescale',
            String(den),
            '-f',
            muxer,
          ],
        ].flat(),
      },
      {
        name: { file: SOURCE_THUMBS },
        options: ['-map', '[thumbs]', ...exactTimes, '-f', 'rawvideo'],
      },
      ...besides,
    ],
    ({ frame, fps }) =>
      context.progress(
        ENCODE_SHARE * Math.min(1, frame / piece.frames),
        frame,
        fps > 0 ? `${Math.round(fps)} fps` : '',
      ),
    // An encoder may take as long as it was told to; that frames come is what its step's limits watch.
    { limitMs: Infinity },
  );
  if (!run.ok) throw processFault(run, `encoding ${piece.name}`);
  return run;
}

function plannedFrames(plan: FilmPlan, piece: PlanPiece): PieceFrames {
  return {
    stream: plan.mode === 'whole' ? String(plan.source.stream) : 'v:0',
    inputOptions: plan.mode === 'cut' ? ['-copyts'] : [],
    filters: timeFilters(plan, piece),
  };
}

/** Exactly the piece's frames, the first at 0, in ticks of 1/den. */
export function timeFilters(plan: FilmPlan, piece: PlanPiece): string[] {
  const times = pieceTimes(plan, piece);
  const inPiece = (ticks: number): number =>
    rescale(ticks, plan.timeBase, piece.timeBase) + piece.shiftTicks;
  const first = inPiece(times[0]!);
  // Until just after the last frame of its own: what follows in the file belongs to the next piece.
  const end = inPiece(times.at(-1)!) + 1;
  const trim = plan.mode === 'cut' ? [`trim=start_pts=${first}:end_pts=${end}`] : [];
  return [...trim, `setpts=PTS-(${first})`, `settb=1/${plan.timeBase.den}`];
}

interface CheckedChunk {
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

/** Decodes the chunk once and holds it against the plan and the source's pictures. */
async function checkChunk(
  { media, work, context }: ChunkAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  encoded: MediaRun,
): Promise<CheckedChunk> {
  const name = chunkName(piece);
  const run = await media.ffmpeg(
    [{ name, options: ['-copyts', '-err_detect', 'explode'] }],
    [
      {
        name: { file: CHUNK_THUMBS },
        options: [
          ['-map', '0:v:0', '-vf', THUMB_FILTER, '-fps_mode', 'passthrough'],
          ['-f', 'rawvideo'],
        ].flat(),
      },
      { name: { file: CHUNK_PACKETS }, options: ['-map', '0:v:0', ...FRAMEHASH] },
    ],
    ({ frame }) =>
      context.progress(
        ENCODE_SHARE + (1 - ENCODE_SHARE) * Math.min(1, frame / piece.frames),
        piece.frames + frame,
        'checking',
      ),
    // Whatever size it was scaled to.
    { limitMs: decodeLimitMs(piece.frames, MAX_PIXELS) },
  );
  if (!run.ok) throw processFault(run, `checking ${name}`);
  if (run.complaints.length > 0) {
    throw new FilmFault('bad-output', `${name} does not decode: ${oneLine(run.complaints[0]!)}`);
  }
  const file = (part: string): string => join(work.directory, part);
  const header: string[] = [];
  const packets: PacketHash[] = [];
  await takeLines(work.directory, CHUNK_PACKETS, (line) => {
    const packet = parsePacketHash(line);
    if (packet !== undefined) packets.push(packet);
    else header.push(line);
  });
  refuseWrongTimes(plan, piece, packets, encoded);
  const [source, chunk] = [file(SOURCE_THUMBS), file(CHUNK_THUMBS)];
  const bytes = piece.frames * THUMB_BYTES;
  const chunkBytes = (await stat(chunk)).size;
  if ((await stat(source)).size !== bytes || chunkBytes !== bytes) {
    throw new FilmFault(
      'bad-output',
      `${name} decodes to ${chunkBytes / THUMB_BYTES} frames, not ${piece.frames}`,
    );
  }
  const likeness = await compareThumbFiles(source, chunk, piece.frames);
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  return { header: parseStreamHeader(header), packets, likeness };
}

function refuseWrongTimes(
  plan: FilmPlan,
  piece: PlanPiece,
  packets: readonly PacketHash[],
  encoded: MediaRun,
): void {
  const times = pieceTimes(plan, piece);
  if (packets.length !== piece.frames) {
    const at = secondsOf(times[0]! - plan.times.first, plan.timeBase);
    // The decoder said that it could not make frames of some packets: that is the source's damage,
    // the same on every agent.
    if (encoded.complaints.length > 0 && packets.length < piece.frames) {
      throw new FilmFault(
        'invalid-input',
        `${plan.source.name} is damaged in the stretch from ${formatClock(at)}: ` +
          `${piece.frames - packets.length} of ${piece.frames} frames cannot be decoded`,
      );
    }
    throw new FilmFault(
      'bad-output',
      `${chunkName(piece)} has ${packets.length} frames, not ${piece.frames}`,
    );
  }
  const found = packets.map((packet) => packet.pts).sort((a, b) => a - b);
  const wrong = found.findIndex((pts, i) => pts !== (times[i]! - times[0]!) * plan.timeBase.num);
  if (wrong >= 0) {
    throw new FilmFault(
      'bad-output',
      `${chunkName(piece)}: frame ${wrong} is at tick ${found[wrong]}, ` +
        `not ${(times[wrong]! - times[0]!) * plan.timeBase.num}`,
    );
  }
}

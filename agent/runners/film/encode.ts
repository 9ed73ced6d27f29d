/**
 * Encodes one piece into a chunk with exactly the frames that the plan gives it, and vouches for the
 * chunk: number and times of its frames, that each shows what its source frame showed, and that it
 * decodes. All of it here, so that the checks run in parallel on the agents.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { EncodeTask } from '../../../proto/gen/furrow/v1/task.ts';
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
import { takeLines } from './list-file.ts';
import { decodeLimitMs } from './media-limits.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;

export const SOURCE_THUMBS = 'thumbs-source.gray';
export const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** Encoding is nearly all of the work; the rest is the check. */
export const ENCODE_SHARE = 0.95;

export const encodeRunner = filmRunner('encode', encode);

async function encode(attempt: EncodeAttempt): Promise<void> {
  const { work } = attempt;
  const plan = await readPlan(work.directory);
  const piece = plan.pieces.find((candidate) => candidate.name === work.item);
  if (piece === undefined) {
    throw new FilmFault('invalid-input', `${work.item} is not a piece of the plan`);
  }
  const settings = settingsFor(attempt, plan);
  const run = await encodePiece(attempt, plan, piece, settings);
  const checked = await checkChunk(attempt, plan, piece, run);
  await sealChunk(work.directory, piece, checked, settings.pixelFormat);
}

/** Vouches for it, and removes what it was checked by. */
export async function sealChunk(
  directory: string,
  piece: PlanPiece,
  { header, packets, likeness }: CheckedChunk,
  pixelFormat: string,
): Promise<void> {
  await writeSeal(directory, sealName(piece), {
    version: 1,
    piece: piece.name,
    frames: piece.frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
  });
  for (const name of [SOURCE_THUMBS, CHUNK_THUMBS]) await rm(join(directory, name));
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
  { media, context }: EncodeAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  settings: EncoderSettings,
): Promise<MediaRun> {
  const { den } = plan.timeBase;
  const stream = plan.mode === 'whole' ? plan.source.stream : 'v:0';
  const graph =
    `[0:${stream}]${[...timeFilters(plan, piece), ...settings.filters].join(',')},split[film][copy];` +
    `[copy]${THUMB_FILTER}[thumbs]`;
  const exactTimes = ['-fps_mode', 'passthrough', '-enc_time_base', `1/${den}`];
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
          ['-filter_complex', graph, '-map', '[film]', ...exactTimes, ...settings.options],
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
        options: ['-map', '[thumbs]', ...exactTimes, '-f', 'rawvideo'],
      },
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

export interface CheckedChunk {
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

/** Decodes the chunk once and holds it against the plan and the source's pictures. */
export async function checkChunk(
  { media, work, context }: Pick<EncodeAttempt, 'media' | 'work' | 'context'>,
  plan: FilmPlan,
  piece: PlanPiece,
  encoded: Pick<MediaRun, 'complaints'>,
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
  encoded: Pick<MediaRun, 'complaints'>,
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

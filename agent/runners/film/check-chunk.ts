/**
 * Holds a chunk against the plan and the pictures of its source, whatever made it, and vouches for it: number and
 * times of its frames, that each shows what it should, and that it decodes.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import { writeSeal } from './chunk-seal.ts';
import { FilmFault, oneLine, processFault } from './film-fault.ts';
import { chunkFrames, type ChunkFrames } from './film-frames.ts';
import { chunkName, pieceTimes, sealName, type FilmPlan, type PlanPiece } from './film-plan.ts';
import type { FilmAttempt } from './film-runner.ts';
import { takeLines } from './list-file.ts';
import { decodeLimitMs } from './media-limits.ts';
import type { MediaRun } from './media-process.ts';
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
import { formatClock, secondsOf } from './timeline.ts';

/** Of the piece's own frames, written by whoever decodes them; gone when the chunk is vouched for. */
export const SOURCE_THUMBS = 'thumbs-source.gray';
const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** Making the chunk is nearly all of the work; the rest is the check. */
export const ENCODE_SHARE = 0.95;

export interface CheckedChunk {
  readonly frames: number;
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

/** Vouches for it, and removes what it was checked by. */
export async function sealChunk(
  directory: string,
  piece: PlanPiece,
  { frames, header, packets, likeness }: CheckedChunk,
  pixelFormat: string,
): Promise<void> {
  await writeSeal(directory, sealName(piece), {
    version: 1,
    piece: piece.name,
    frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
  });
  for (const name of [SOURCE_THUMBS, CHUNK_THUMBS]) await rm(join(directory, name));
}

/**
 * Decodes the chunk once and holds it against the plan and the source's pictures. `decoding`: of what decoded the
 * piece. `tailFrames`: so many of what follows the piece have thumbs as well. Throws FilmFault `bad-output`, or `invalid-input` where the source is damaged.
 */
export async function checkChunk(
  { media, work, context }: Pick<FilmAttempt<unknown>, 'media' | 'work' | 'context'>,
  plan: FilmPlan,
  piece: PlanPiece,
  decoding: Pick<MediaRun, 'complaints'>,
  tailFrames = 0,
): Promise<CheckedChunk> {
  const expected = chunkFrames(plan, piece);
  const { frames } = expected;
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
        ENCODE_SHARE + (1 - ENCODE_SHARE) * Math.min(1, frame / frames),
        frames + frame,
        'checking',
      ),
    // Whatever size it was scaled to.
    { limitMs: decodeLimitMs(frames, MAX_PIXELS) },
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
  const [source, chunk] = [file(SOURCE_THUMBS), file(CHUNK_THUMBS)];
  const decoded = (await stat(source)).size / THUMB_BYTES;
  // Where the film has other frames, those that the source lacks would be made of their neighbours.
  if (plan.film !== undefined) refuseMissing(plan, piece, decoded - tailFrames, decoding);
  refuseWrongCount(plan, piece, packets.length, frames, decoding);
  refuseWrongTimes(expected, chunkName(piece), packets);
  const chunkFrameCount = (await stat(chunk)).size / THUMB_BYTES;
  if (chunkFrameCount !== frames) {
    throw new FilmFault(
      'bad-output',
      `${name} decodes to ${chunkFrameCount} frames, not ${frames}`,
    );
  }
  const sourceFrames = piece.frames + tailFrames;
  if (decoded !== sourceFrames) {
    const what = `${piece.name} decodes to ${decoded} frames, not ${sourceFrames}`;
    throw new FilmFault('bad-output', what);
  }
  const shown = plan.film === undefined ? undefined : expected;
  const counts = { sourceFrames, frames, shown };
  const likeness = await compareThumbFiles(source, chunk, counts);
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  return { frames, header: parseStreamHeader(header), packets, likeness };
}

function refuseWrongCount(
  plan: FilmPlan,
  piece: PlanPiece,
  found: number,
  expected: number,
  { complaints }: Pick<MediaRun, 'complaints'>,
): void {
  if (plan.film === undefined) refuseMissing(plan, piece, found, { complaints });
  if (found === expected) return;
  throw new FilmFault('bad-output', `${chunkName(piece)} has ${found} frames, not ${expected}`);
}

/**
 * The decoder said that it could not make frames of some packets: that is the source's damage, the same on
 * every agent.
 */
function refuseMissing(
  plan: FilmPlan,
  piece: PlanPiece,
  found: number,
  { complaints }: Pick<MediaRun, 'complaints'>,
): void {
  if (complaints.length === 0 || found >= piece.frames) return;
  const at = secondsOf(pieceTimes(plan, piece)[0]! - plan.times.first, plan.timeBase);
  throw new FilmFault(
    'invalid-input',
    `${plan.source.name} is damaged in the stretch from ${formatClock(at)}: ` +
      `${piece.frames - found} of ${piece.frames} frames cannot be decoded`,
  );
}

function refuseWrongTimes(
  { times, timeBase }: ChunkFrames,
  name: string,
  packets: readonly PacketHash[],
): void {
  const found = packets.map((packet) => packet.pts).sort((a, b) => a - b);
  const wanted = times.map((time) => (time - times[0]!) * timeBase.num);
  const wrong = found.findIndex((pts, i) => pts !== wanted[i]);
  if (wrong < 0) return;
  throw new FilmFault(
    'bad-output',
    `${name}: frame ${wrong} is at tick ${found[wrong]}, not ${wanted[wrong]}`,
  );
}

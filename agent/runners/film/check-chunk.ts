/**
 * Holds a chunk against the plan and the pictures of its source, whatever made it, and vouches for it: number and
 * times of its frames, that each shows what it should, and that it decodes.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import { type MadeBy, type SealNotes, writeSeal } from './chunk-seal.ts';
import { FilmFault, oneLine, processFault } from './film-fault.ts';
import { chunkFrames, picturesEach, type ChunkFrames } from './film-frames.ts';
import { chunkName, pieceTimes, sealName, type FilmPlan, type PlanPiece } from './film-plan.ts';
import type { FilmAttempt } from './film-runner.ts';
import { exactTimes } from './piece-graph.ts';
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
import { THUMB_BYTES, THUMB_FILTER, type Likeness, type ShownFrames } from './picture-likeness.ts';
import { compareThumbFiles } from './thumb-files.ts';
import { formatClock, secondsOf } from './timeline.ts';

/** Of the piece's own frames, written by whoever decodes them; gone when the chunk is vouched for. */
export const SOURCE_THUMBS = 'thumbs-source.gray';
const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/**
 * Every packet is decoded whole, but edges are left as blocky as they are coded where no other picture is made of
 * them: tiny copies are the same to a twentieth of a grey level, and a sixth of the time is saved.
 */
const UNSMOOTHED = ['-skip_loop_filter', 'noref'];

/** Making the chunk is nearly all of the work; the rest is the check. */
export const MAKE_SHARE = 0.95;

export interface MadeChunk {
  readonly plan: FilmPlan;
  readonly piece: PlanPiece;
  /** What it must have. */
  readonly frames: ChunkFrames;
  readonly pixelFormat: string;
  /** What decoded the source. */
  readonly decoded: MediaRun;
  readonly made?: MadeBy | undefined;
}

type Attempt = Pick<FilmAttempt<unknown>, 'media' | 'work' | 'context'>;

/** Throws FilmFault `bad-output`, or `invalid-input` where the source is damaged. */
export async function vouchFor(attempt: Attempt, chunk: MadeChunk): Promise<void> {
  const { plan, piece, frames, pixelFormat, decoded, made } = chunk;
  const checked = await checkFrames(attempt, { plan, piece, frames, tailFrames: 0 }, decoded);
  await sealChunk(attempt.work.directory, piece, checked, pixelFormat, made);
}

export interface CheckedChunk {
  readonly frames: number;
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
  /** What the decoder of the source complained of first; undefined where it did not. */
  readonly sourceDamage: string | undefined;
}

/**
 * Vouches for a chunk that was checked, and removes what it was checked by.
 */
export async function sealChunk(
  directory: string,
  piece: PlanPiece,
  { frames, header, packets, likeness, sourceDamage }: CheckedChunk,
  pixelFormat: string,
  notes: SealNotes = {},
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
    ...(sourceDamage !== undefined && { sourceDamage }),
    ...notes,
  });
  for (const name of [SOURCE_THUMBS, CHUNK_THUMBS]) await rm(join(directory, name));
}

/**
 * Holds a chunk against the plan without vouching for it. `decoding`: of what decoded the piece. `tailFrames`: so
 * many of what follows the piece have thumbs as well. `shown`: what its frames show, where that is not what the plan
 * says. Throws as `vouchFor` does.
 */
export async function checkChunk(
  attempt: Attempt,
  plan: FilmPlan,
  piece: PlanPiece,
  decoding: Decoding,
  { tailFrames = 0, shown }: { readonly tailFrames?: number; readonly shown?: ShownFrames } = {},
): Promise<CheckedChunk> {
  const frames = chunkFrames(plan, piece);
  return checkFrames(attempt, { plan, piece, frames, tailFrames, shown }, decoding);
}

type Decoding = Pick<MediaRun, 'complaints'>;

interface ChunkToCheck extends Pick<MadeChunk, 'plan' | 'piece' | 'frames'> {
  readonly tailFrames: number;
  /** What its frames show, where that is not what the plan says. */
  readonly shown?: ShownFrames | undefined;
}

/** Decodes the chunk once and holds it against the plan and the source's pictures. */
async function checkFrames(
  { media, work, context }: Attempt,
  { plan, piece, frames: expected, tailFrames, shown: other }: ChunkToCheck,
  encoded: Decoding,
): Promise<CheckedChunk> {
  const { frames } = expected;
  const name = chunkName(piece);
  const run = await media.ffmpeg(
    [{ name, options: ['-copyts', '-err_detect', 'explode', ...UNSMOOTHED] }],
    [
      {
        name: { file: CHUNK_THUMBS },
        options: [
          ['-map', '0:v:0', '-vf', THUMB_FILTER],
          // In ticks of the chunk: a guessed frame rate would press two frames into one.
          [...exactTimes(expected.timeBase.den), '-f', 'rawvideo'],
        ].flat(),
      },
      { name: { file: CHUNK_PACKETS }, options: ['-map', '0:v:0', ...FRAMEHASH] },
    ],
    ({ frame }) =>
      context.progress(
        MAKE_SHARE + (1 - MAKE_SHARE) * Math.min(1, frame / frames),
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
  if (plan.film !== undefined) {
    refuseMissing(plan, piece, Math.ceil(decoded / picturesEach(plan)) - tailFrames, encoded);
  }
  refuseWrongCount(plan, piece, packets.length, frames, encoded);
  refuseWrongTimes(expected, chunkName(piece), packets);
  const chunkFrameCount = (await stat(chunk)).size / THUMB_BYTES;
  if (chunkFrameCount !== frames) {
    throw new FilmFault(
      'bad-output',
      `${name} decodes to ${chunkFrameCount} frames, not ${frames}`,
    );
  }
  const pictures = (piece.frames + tailFrames) * picturesEach(plan);
  if (decoded !== pictures) {
    const what = `${piece.name} decodes to ${decoded} pictures, not ${pictures}`;
    throw new FilmFault('bad-output', what);
  }
  const shown = other ?? (plan.film === undefined ? undefined : expected);
  const counts = { sourceFrames: pictures, frames, shown };
  const likeness = await compareThumbFiles(source, chunk, counts);
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  const sourceDamage = damageIn(encoded);
  if (sourceDamage !== undefined) {
    context.log(
      `${piece.name}: the source is damaged, its decoder made up for it: ${sourceDamage}`,
    );
  }
  return { frames, header: parseStreamHeader(header), packets, likeness, sourceDamage };
}

/** Encoders write to the same place; what they say is of no picture of the source. */
function damageIn({ complaints }: Decoding): string | undefined {
  const said = complaints.find((line) => /decod|conceal|corrupt|invalid data|damag/i.test(line));
  // Without the `[h264 @ 0x55d4]` that ffmpeg begins with.
  return said === undefined
    ? undefined
    : oneLine(said.replace(/^\[[^\]]* @ 0x[0-9a-f]+\] */, '')).slice(0, LONGEST_DAMAGE);
}

const LONGEST_DAMAGE = 200;

function refuseWrongCount(
  plan: FilmPlan,
  piece: PlanPiece,
  found: number,
  expected: number,
  encoded: Decoding,
): void {
  if (plan.film === undefined) refuseMissing(plan, piece, found, encoded);
  if (found === expected) return;
  throw new FilmFault('bad-output', `${chunkName(piece)} has ${found} frames, not ${expected}`);
}

/**
 * The decoder said that it could not make frames of some packets: that is the source's damage, the same on
 * every agent.
 */
function refuseMissing(plan: FilmPlan, piece: PlanPiece, found: number, encoded: Decoding): void {
  if (encoded.complaints.length === 0 || found >= piece.frames) return;
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

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
  chunkFrames,
  filmFrameRate,
  filmTimeBase,
  pieceFrames,
  type ChunkFrames,
} from './film-frames.ts';
import { ownFrameFilters, rateFilters } from './piece-graph.ts';
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
import { formatClock, secondsOf } from './timeline.ts';
import { writeSeal } from './chunk-seal.ts';
import { takeLines } from './list-file.ts';
import { decodeLimitMs } from './media-limits.ts';
import { bookedThreads, type MediaRun } from './media-process.ts';

type EncodeAttempt = FilmAttempt<EncodeTask>;

const SOURCE_THUMBS = 'thumbs-source.gray';
const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** Encoding is nearly all of the work; the rest is the check. */
const ENCODE_SHARE = 0.95;

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
  const run = await encodePiece(attempt, plan, piece, settings);
  const { header, packets, likeness } = await checkChunk(attempt, plan, piece, frames, run);
  await writeSeal(work.directory, sealName(piece), {
    version: 1,
    piece: piece.name,
    frames: frames.frames,
    packetsSha256: digestPackets(packets),
    orderSha256: digestOrder(packets),
    ...header,
    pixelFormat: settings.pixelFormat,
    meanDifference: likeness.meanDifference,
    worstDifference: likeness.worstDifference,
  });
  for (const name of [SOURCE_THUMBS, CHUNK_THUMBS]) await rm(join(work.directory, name));
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

interface CheckedChunk {
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

/** Decodes the chunk once and holds it against the plan and the source's pictures. */
async function checkChunk(
  { media, work, context }: EncodeAttempt,
  plan: FilmPlan,
  piece: PlanPiece,
  expected: ChunkFrames,
  encoded: MediaRun,
): Promise<CheckedChunk> {
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
  if (plan.film !== undefined) refuseMissing(plan, piece, decoded, encoded);
  refuseWrongCount(plan, piece, packets.length, frames, encoded);
  refuseWrongTimes(expected, chunkName(piece), packets);
  const chunkFrameCount = (await stat(chunk)).size / THUMB_BYTES;
  if (chunkFrameCount !== frames) {
    throw new FilmFault(
      'bad-output',
      `${name} decodes to ${chunkFrameCount} frames, not ${frames}`,
    );
  }
  if (decoded !== piece.frames) {
    const what = `${piece.name} decodes to ${decoded} frames, not ${piece.frames}`;
    throw new FilmFault('bad-output', what);
  }
  const shown = plan.film === undefined ? undefined : expected;
  const counts = { sourceFrames: piece.frames, frames, shown };
  const likeness = await compareThumbFiles(source, chunk, counts);
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  return { header: parseStreamHeader(header), packets, likeness };
}

function refuseWrongCount(
  plan: FilmPlan,
  piece: PlanPiece,
  found: number,
  expected: number,
  encoded: MediaRun,
): void {
  if (plan.film === undefined) refuseMissing(plan, piece, found, encoded);
  if (found === expected) return;
  throw new FilmFault('bad-output', `${chunkName(piece)} has ${found} frames, not ${expected}`);
}

/**
 * The decoder said that it could not make frames of some packets: that is the source's damage, the same on
 * every agent.
 */
function refuseMissing(plan: FilmPlan, piece: PlanPiece, found: number, encoded: MediaRun): void {
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

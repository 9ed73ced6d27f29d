/** Whether the chunk of a shot holds what was rendered: so many frames, each at its time, and all of it decodes. */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import type { FilmAttempt } from '../film/film-runner.ts';
import { takeLines } from '../film/list-file.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import {
  FRAMEHASH,
  parsePacketHash,
  parseStreamHeader,
  type PacketHash,
  type StreamHeader,
} from '../film/packet-digest.ts';
import { THUMB_BYTES, THUMB_FILTER, type Likeness } from '../film/picture-likeness.ts';
import { compareThumbFiles } from '../film/thumb-files.ts';
import { chunkFileName } from './pieces.ts';
import type { Rate } from './timecode.ts';

const CHUNK_THUMBS = 'thumbs-chunk.gray';
const CHUNK_PACKETS = 'packets-chunk.txt';

/** What is counted goes on after all that rendering counts. */
const CHECKING = 3_000_000;

interface WantedChunk {
  readonly shot: number;
  readonly frames: number;
  readonly rate: Rate;
  /** File of tiny copies of the frames that were rendered. */
  readonly renderedThumbs: string;
}

interface CheckedChunk {
  readonly header: StreamHeader;
  readonly packets: readonly PacketHash[];
  readonly likeness: Likeness;
}

export async function checkShotChunk(
  { media, work, context }: Pick<FilmAttempt<unknown>, 'media' | 'work' | 'context'>,
  { shot, frames, rate, renderedThumbs }: WantedChunk,
): Promise<CheckedChunk> {
  const name = chunkFileName(shot);
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
    ({ frame }) => context.progress(0.97, CHECKING + frame, 'checking'),
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
  refuseOtherTimes(name, packets, frames, rate);
  const rendered = join(work.directory, renderedThumbs);
  const chunk = join(work.directory, CHUNK_THUMBS);
  for (const path of [rendered, chunk]) {
    const { size } = await stat(path);
    if (size === frames * THUMB_BYTES) continue;
    throw new FilmFault('bad-output', `${name} has ${size / THUMB_BYTES} frames, not ${frames}`);
  }
  const likeness = await compareThumbFiles(rendered, chunk, { sourceFrames: frames, frames });
  if (likeness.fault !== undefined) {
    throw new FilmFault('bad-output', `${name}: ${likeness.fault}`);
  }
  await rm(chunk);
  return { header: parseStreamHeader(header), packets, likeness };
}

function refuseOtherTimes(
  name: string,
  packets: readonly PacketHash[],
  frames: number,
  rate: Rate,
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

/**
 * The packets of one video stream, in file order, and what they say about its frames. Costs one read
 * of the file and no decoding.
 */
import { FilmFault } from './film-fault.ts';
import {
  FRAMES_FOR_A_RATE,
  MAX_DURATION_SECONDS,
  MAX_FRAME_RATE,
  MAX_FRAMES,
} from './media-limits.ts';
import type { MediaProcess, MediaRun } from './media-process.ts';
import { formatClock, parseTimeBase, secondsOf, type TimeBase } from './timeline.ts';

export interface PacketRow {
  /** Ticks; undefined when the container does not say. */
  readonly pts: number | undefined;
  /** Ticks; 0 when unknown. */
  readonly duration: number;
  readonly sizeBytes: number;
  readonly key: boolean;
  /** Decoded but not shown: what an edit list cuts off. */
  readonly discarded: boolean;
}

export interface PacketIndex {
  readonly packets: readonly PacketRow[];
  /** Of the packets' times; undefined when there is no such stream. */
  readonly timeBase: TimeBase | undefined;
  readonly run: MediaRun;
}

/**
 * Reads all packets of a stream. `onCount` is called now and then with the packets read so far. Throws
 * FilmFault `invalid-input` when there is no end of them.
 */
export async function readPackets(
  media: MediaProcess,
  name: string,
  stream: string,
  onCount: (packets: number) => void = () => undefined,
  maxFrames = MAX_FRAMES,
): Promise<PacketIndex> {
  const packets: PacketRow[] = [];
  let timeBase: TimeBase | undefined;
  const tooMany = new AbortController();
  const run = await media.ffprobeLines(
    name,
    [
      ['-select_streams', stream, '-of', 'compact=p=0'],
      ['-show_entries', 'packet=pts,duration,size,flags:stream=time_base'],
    ].flat(),
    (line) => {
      if (line.startsWith('time_base=')) timeBase = parseTimeBase(line.slice('time_base='.length));
      const row = parsePacket(line);
      if (row === undefined) return;
      if (packets.length >= maxFrames) tooMany.abort();
      else packets.push(row);
      if (packets.length % 5000 === 0) onCount(packets.length);
    },
    { signal: tooMany.signal },
  );
  if (tooMany.signal.aborted) throw tooManyFrames(name, maxFrames);
  return { packets, timeBase, run };
}

export function tooManyFrames(name: string, maxFrames: number): FilmFault {
  return new FilmFault(
    'invalid-input',
    `${name} has more than ${maxFrames} frames, and no more are taken; cut it first`,
  );
}

/** What its frames say, whatever its header says. `times` in order. Throws FilmFault `invalid-input`. */
export function refuseEndless(name: string, times: readonly number[], base: TimeBase): void {
  const seconds = secondsOf(times.at(-1)! - times[0]!, base);
  if (seconds > MAX_DURATION_SECONDS) {
    throw new FilmFault(
      'invalid-input',
      `${name} has frames over ${formatClock(seconds)}, at most ${formatClock(MAX_DURATION_SECONDS)} is taken; cut it first`,
    );
  }
  // From the first frame to the last one there is a step less than there are frames.
  if (times.length >= FRAMES_FOR_A_RATE && times.length - 1 > seconds * MAX_FRAME_RATE) {
    throw new FilmFault(
      'invalid-input',
      `${name} has ${times.length} frames in ${formatClock(seconds)}, at most ${MAX_FRAME_RATE} a second are taken`,
    );
  }
}

/** `pts=512|duration=512|size=900|flags=K_`; fields of side data may follow. */
export function parsePacket(line: string): PacketRow | undefined {
  const fields = new Map(
    line.split('|').map((field) => {
      const equals = field.indexOf('=');
      return [field.slice(0, equals), field.slice(equals + 1)] as const;
    }),
  );
  const flags = fields.get('flags');
  if (flags === undefined) return undefined;
  const pts = Number(fields.get('pts'));
  const duration = Number(fields.get('duration'));
  return {
    pts: Number.isFinite(pts) ? pts : undefined,
    duration: Number.isFinite(duration) ? duration : 0,
    sizeBytes: Number(fields.get('size')),
    key: flags.includes('K'),
    discarded: flags.includes('D'),
  };
}

/**
 * Whether the file ends before its container says. ffprobe exits 0 on such files, so that its
 * complaints are what tells.
 */
export function refuseTruncated(name: string, index: PacketIndex): void {
  const text = index.run.complaints.join('\n');
  if (/partial file|File ended prematurely|Truncat/i.test(text)) {
    throw new FilmFault(
      'invalid-input',
      `${name} is truncated: it ends after ${index.packets.length} of its video packets; copy the file again`,
    );
  }
}

/** Shown frames, in order; undefined when the packets' times cannot be trusted. */
export function frameTimes(packets: readonly PacketRow[]): number[] | undefined {
  const times: number[] = [];
  for (const packet of packets) {
    if (packet.pts === undefined) return undefined;
    if (!packet.discarded) times.push(packet.pts);
  }
  times.sort((a, b) => a - b);
  for (let i = 1; i < times.length; i += 1) {
    if (times[i] === times[i - 1]) return undefined;
  }
  return times;
}

/**
 * Whether packets come in an order that only reordering within a group explains. A jump of the clock
 * (a joined broadcast, a wrapped counter) shows as a time far before what was already seen.
 */
export function isSteady(packets: readonly PacketRow[], maxStepTicks: number): boolean {
  let highest: number | undefined;
  for (const { pts } of packets) {
    if (pts === undefined) return false;
    if (highest !== undefined && Math.abs(pts - highest) > maxStepTicks) return false;
    highest = highest === undefined ? pts : Math.max(highest, pts);
  }
  return true;
}

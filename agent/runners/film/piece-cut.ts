/**
 * Cuts one piece out of a source by copying packets, and verifies right away that the piece holds the
 * packets that were asked for. Containers shift times and seeks land early; both are measured.
 */
import { processFault } from './film-fault.ts';
import type { MediaProcess } from './media-process.ts';
import { readPackets, type PacketRow } from './frame-index.ts';
import { formatUs, rescale, secondsOf, type TimeBase } from './timeline.ts';

export interface CutSource {
  readonly name: string;
  readonly stream: number;
  readonly timeBase: TimeBase;
  /** In file order, every one with a time. */
  readonly packets: readonly PacketRow[];
  /** As ffmpeg names it; absent where nobody knows. */
  readonly codec?: string | undefined;
}

/** What a piece must hold: frames from `fromPts` (inclusive) to `untilPts` (exclusive). */
export interface CutRange {
  readonly fromPts: number;
  readonly untilPts: number;
}

/** Packets first … last (indices in file order) hold all that decoding the range needs. */
export function packetsFor(
  packets: readonly PacketRow[],
  range: CutRange,
): { readonly first: number; readonly last: number } | undefined {
  let first: number | undefined;
  let last: number | undefined;
  for (let i = 0; i < packets.length; i += 1) {
    const { pts, key } = packets[i]!;
    // The last keyframe at or before the start; file order is decoding order.
    if (key && pts! <= range.fromPts) first = i;
    if (pts! < range.untilPts) last = i;
  }
  return first === undefined || last === undefined || last < first ? undefined : { first, last };
}

/** A seek lands at most so many keyframes early before another way must be found. */
const MAX_SEEKS = 4;

/** How a piece's file tells time: its ticks, and how far they are from the source's. */
export interface PieceClock {
  readonly timeBase: TimeBase;
  /** In the piece's ticks. */
  readonly shiftTicks: number;
}

/**
 * Writes the piece and answers its clock; undefined when no seek reaches the range, so that the film
 * cannot be cut.
 */
export async function cutPiece(
  media: MediaProcess,
  source: CutSource,
  range: CutRange,
  piece: string,
): Promise<PieceClock | undefined> {
  const wanted = packetsFor(source.packets, range);
  if (wanted === undefined) return undefined;
  let seekTo = wanted.first;
  let landed = wanted.first;
  for (let attempt = 0; attempt < MAX_SEEKS; attempt += 1) {
    const count = wanted.last - landed + 1;
    if (!(await copyPackets(media, source, source.packets[seekTo]!.pts!, count, piece))) {
      return undefined;
    }
    const { packets, timeBase } = await readPackets(media, piece, 'v:0');
    const found =
      timeBase === undefined ? undefined : locate(source, { packets, timeBase }, landed);
    if (timeBase !== undefined && found !== undefined && found.at <= wanted.first) {
      if (found.at + packets.length - 1 === wanted.last) {
        return { timeBase, shiftTicks: found.shiftTicks };
      }
      // It began early: take as many packets more.
      landed = found.at;
      continue;
    }
    const earlier = previousKey(source.packets, seekTo);
    if (earlier === undefined) return undefined;
    seekTo = earlier;
    landed = earlier;
  }
  return undefined;
}

/** The muxer that writes a piece of this name. */
export function formatOf(piece: string): string {
  return piece.endsWith('.nut') ? 'nut' : 'matroska';
}

/** MXF says no tag, and NUT's own list has none for these; of QuickTime's it reads any. */
const TAGS_FOR_NUT: Readonly<Record<string, string>> = { dnxhd: 'AVdn' };

/** For the muxer of pieces. */
export function tagOptions({ codec = '' }: CutSource): readonly string[] {
  const tag = TAGS_FOR_NUT[codec];
  return tag === undefined ? [] : ['-tag:v', tag];
}

/** Answers whether the piece's container can hold this codec. */
async function copyPackets(
  media: MediaProcess,
  source: CutSource,
  pts: number,
  count: number,
  piece: string,
): Promise<boolean> {
  // Half a millisecond beyond, so that rounding to microseconds never falls before the keyframe.
  const at = formatUs(Math.round(secondsOf(pts, source.timeBase) * 1e6) + 500);
  const format = formatOf(piece);
  const run = await media.ffmpeg(
    [{ name: source.name, options: ['-seek_timestamp', '1', '-ss', at, '-copyts'] }],
    [
      {
        name: { file: piece },
        options: [
          ['-map', `0:${source.stream}`, '-c', 'copy', '-copyinkf', ...tagOptions(source)],
          ['-map_metadata', '-1', '-map_chapters', '-1'],
          ['-frames:v', String(count), '-f', format],
        ].flat(),
      },
    ],
  );
  if (run.ok) return true;
  if (run.complaints.some((line) => /Could not write header/.test(line))) return false;
  throw processFault(run, `cutting ${piece} from ${source.name}`);
}

/**
 * Where in the source the piece's packets are, and by how much their times differ. A steady film looks
 * alike everywhere, but not the sizes of its packets: both must agree for every packet.
 */
export function locate(
  source: Pick<CutSource, 'packets' | 'timeBase'>,
  piece: Pick<CutSource, 'packets' | 'timeBase'>,
  near: number,
): { readonly at: number; readonly shiftTicks: number } | undefined {
  const count = piece.packets.length;
  if (count === 0) return undefined;
  for (let at = Math.min(near, source.packets.length - count); at >= 0; at -= 1) {
    const shiftAt = (i: number): number =>
      (piece.packets[i]!.pts ?? NaN) -
      rescale(source.packets[at + i]!.pts!, source.timeBase, piece.timeBase);
    const shiftTicks = shiftAt(0);
    const same = piece.packets.every(
      (packet, i) =>
        shiftAt(i) === shiftTicks && packet.sizeBytes === source.packets[at + i]!.sizeBytes,
    );
    if (same) return { at, shiftTicks };
  }
  return undefined;
}

function previousKey(packets: readonly PacketRow[], before: number): number | undefined {
  for (let i = before - 1; i >= 0; i -= 1) {
    if (packets[i]!.key) return i;
  }
  return undefined;
}

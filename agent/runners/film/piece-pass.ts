/**
 * Cuts all pieces of a source in one pass, where no two of them share a packet (as they do where a
 * group of pictures refers to the one before), and verifies each like a piece that was cut alone.
 * Two starts of ffmpeg take the place of two for each piece.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PacketRow } from './frame-index.ts';
import type { MediaProcess } from './media-process.ts';
import {
  formatOf,
  locate,
  tagOptions,
  type CutRange,
  type CutSource,
  type PieceClock,
} from './piece-cut.ts';
import { parseTimeBase, type TimeBase } from './timeline.ts';

/** What is to be cut: ranges that follow one another, and a name for each, numbered from 0. */
export interface CutList {
  readonly ranges: readonly CutRange[];
  readonly names: readonly string[];
  /** The names as a pattern for ffmpeg, such as `piece-%05d.nut`. */
  readonly pattern: string;
}

/** So many files are open at once while pieces are verified. */
const VERIFIED_AT_ONCE = 32;

/** Answers the pieces' clocks; undefined when they must be cut one by one. */
export async function cutInOnePass(
  media: MediaProcess,
  directory: string,
  source: CutSource,
  { ranges, names, pattern }: CutList,
  onPackets: (packets: number) => void,
): Promise<readonly PieceClock[] | undefined> {
  const firsts = firstPackets(source.packets, ranges);
  if (firsts === undefined || names.length < 2) return undefined;
  const run = await media.ffmpeg(
    [{ name: source.name, options: ['-copyts'] }],
    [
      {
        name: { file: pattern },
        options: [
          ['-map', `0:${source.stream}`, '-c', 'copy', '-copyinkf', ...tagOptions(source)],
          ['-map_metadata', '-1', '-map_chapters', '-1'],
          ['-f', 'segment', '-segment_format', formatOf(pattern)],
          ['-segment_frames', firsts.slice(1).join(',')],
        ].flat(),
      },
    ],
    ({ frame }) => onPackets(frame),
  );
  if (!run.ok) return undefined;
  const clocks: PieceClock[] = [];
  for (let from = 0; from < names.length; from += VERIFIED_AT_ONCE) {
    const some = names.slice(from, from + VERIFIED_AT_ONCE);
    const pieces = await listPackets(media, directory, some);
    if (pieces === undefined) return undefined;
    for (const [i, piece] of pieces.entries()) {
      const first = firsts[from + i]!;
      const count = (firsts[from + i + 1] ?? source.packets.length) - first;
      const found = locate(source, piece, first);
      if (found?.at !== first || piece.packets.length !== count) return undefined;
      clocks.push({ timeBase: piece.timeBase, shiftTicks: found.shiftTicks });
    }
    onPackets(firsts[from + some.length] ?? source.packets.length);
  }
  return clocks;
}

/**
 * Index of each piece's first packet; undefined unless each begins with a keyframe of its own, and has
 * all packets of its range and no others until the next.
 */
export function firstPackets(
  packets: readonly PacketRow[],
  ranges: readonly CutRange[],
): number[] | undefined {
  const firsts: number[] = [];
  let range: CutRange | undefined;
  for (const [i, { pts, key }] of packets.entries()) {
    const next = ranges[firsts.length];
    if (key && next !== undefined && pts === next.fromPts) {
      firsts.push(i);
      range = next;
    }
    if (range === undefined || pts === undefined) return undefined;
    if (pts < range.fromPts || pts >= range.untilPts) return undefined;
  }
  return firsts.length === ranges.length ? firsts : undefined;
}

type ListedPiece = Pick<CutSource, 'packets' | 'timeBase'>;

/** Reads the packets of several files at once; undefined when one of them cannot be read. */
async function listPackets(
  media: MediaProcess,
  directory: string,
  names: readonly string[],
): Promise<readonly ListedPiece[] | undefined> {
  const lists = names.map((_, i) => `packets-${i}.txt`);
  const run = await media.ffmpeg(
    names.map((name) => ({ name, options: ['-copyts'] })),
    lists.map((list, i) => ({
      name: { file: list },
      // In the file's own ticks, as its decoder will count.
      options: ['-map', `${i}:v:0`, '-c', 'copy', '-copyinkf', '-copytb', '1', '-f', 'framecrc'],
    })),
  );
  const pieces: ListedPiece[] = [];
  for (const list of lists) {
    const path = join(directory, list);
    const piece = parsePacketList(await readFile(path, 'utf8').catch(() => ''));
    await rm(path, { force: true });
    if (piece !== undefined) pieces.push(piece);
  }
  return run.ok && run.complaints.length === 0 && pieces.length === names.length
    ? pieces
    : undefined;
}

/** `#tb 0: 1/51200`, then `0,  0,  4096,  2048,  33252, 0x74384d86` for each packet. */
export function parsePacketList(text: string): ListedPiece | undefined {
  let timeBase: TimeBase | undefined;
  const packets: PacketRow[] = [];
  for (const line of text.split('\n')) {
    const base = /^#tb 0: (\S+)/.exec(line)?.[1];
    if (base !== undefined) timeBase = parseTimeBase(base);
    const fields = line.split(',').map(Number);
    if (line.startsWith('#') || fields.length < 6) continue;
    packets.push({
      pts: Number.isFinite(fields[2]) ? fields[2] : undefined,
      duration: fields[3]!,
      sizeBytes: fields[4]!,
      key: false,
      discarded: false,
    });
  }
  return timeBase === undefined ? undefined : { timeBase, packets };
}

/**
 * Makes one track's fragments, as ffmpeg left them, a file that players fetch bit by bit: `ftyp moov sidx`,
 * then segments, each of whole fragments. Nothing of a sample changes; its times are set so that the film's
 * own clock begins at 0 in every file of a package.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { FilmFault } from '../film/film-fault.ts';
import { rescale, type TimeBase } from '../film/timeline.ts';
import { boxOf, fileBoxes, readBox, type Box } from './boxes.ts';
import { readFragment, type FragmentSamples } from './fragment-samples.ts';
import { readTrackHeader, type TrackHeader } from './track-header.ts';

export interface Segment {
  /** First byte in the file. */
  readonly start: number;
  readonly bytes: number;
  readonly ticks: number;
}

export interface IndexedFile extends TrackHeader {
  readonly codec: string;
  /** Header without index: from 0. */
  readonly headerBytes: number;
  /** It begins where the header ends. */
  readonly indexBytes: number;
  /** Time at which the first sample is shown. */
  readonly startTicks: number;
  readonly segments: readonly Segment[];
}

export interface IndexWishes {
  /** When the first sample of all, in order of showing, is shown. Negative: it only prepares the decoder. */
  readonly start: { readonly ticks: number; readonly timeBase: TimeBase };
  /** From then until the last one ends; absent for what the samples say, which counts how they are decoded. */
  readonly length?: { readonly ticks: number; readonly timeBase: TimeBase };
  /** Samples of each segment, in order; absent for one a fragment. */
  readonly segmentSamples?: readonly number[];
}

interface Fragment {
  readonly moof: Box;
  readonly end: number;
  readonly bytes: Buffer;
  readonly samples: FragmentSamples;
}

/** A `sidx` says the length of a segment in 31 bits, and counts them in 16. */
const MAX_SEGMENT_BYTES = 2 ** 31 - 1;
const MAX_SEGMENTS = 65_535;

/** `part`, `path`: paths; `name` is for people. Throws FilmFault. */
export async function writeIndexedFile(
  part: string,
  path: string,
  name: string,
  wishes: IndexWishes,
): Promise<IndexedFile> {
  const from = await open(part, 'r');
  try {
    const boxes = await fileBoxes(from, name);
    const start = await readBox(from, boxNamed(boxes, 'ftyp', name));
    const moov = await readBox(from, boxNamed(boxes, 'moov', name));
    const track = readTrackHeader(moov);
    const { codec } = track;
    if (codec === undefined) throw new FilmFault('invalid-input', `${name}: ${CODINGS}`);
    const fragments = await fragmentsOf(from, boxes, track, name);
    const clock = clockOf(fragments, track, wishes);
    const header = Buffer.concat([start, setTimes(moov, fragments, clock.shift)]);
    const groups = groupsOf(fragments, wishes.segmentSamples, name);
    const starts = groups.map((group) => Math.max(0, firstTime(group) + clock.shift));
    const firstByte = header.length + indexLength(groups.length);
    const segments = segmentsOf(groups, firstByte, [...starts, clock.end], name);
    const startTicks = starts[0] ?? 0;
    const index = indexBox(segments, track.timescale, startTicks);
    await writeFragments(from, path, Buffer.concat([header, index]), fragments);
    const sizes = { headerBytes: header.length, indexBytes: index.length };
    return { ...track, codec, ...sizes, startTicks, segments };
  } finally {
    await from.close();
  }
}

const CODINGS = 'players on the web take H.264 or HEVC with AAC: choose such encoders';

/** From the fragments' times to the film's, and when its last sample ends; in the file's ticks. */
function clockOf(
  fragments: readonly Fragment[],
  { timescale }: TrackHeader,
  { start, length }: IndexWishes,
): { readonly shift: number; readonly end: number } {
  const clock = { num: 1, den: timescale };
  const wanted = rescale(start.ticks, start.timeBase, clock);
  const shift = wanted - firstTime(fragments);
  const end =
    length === undefined
      ? lastTime(fragments) + shift
      : wanted + rescale(length.ticks, length.timeBase, clock);
  return { shift, end };
}

/**
 * Answers the header. What only prepares a decoder, and the time from decoding to showing, is cut off by an edit:
 * offsets below 0 would say the latter as well, but not all players add them up alike.
 */
function setTimes(moov: Buffer, fragments: readonly Fragment[], shift: number): Buffer {
  if (shift < 0) return withEdit(moov, -shift);
  for (const { bytes, samples } of fragments) moveTimes(bytes, samples, shift);
  return moov;
}

async function writeFragments(
  from: FileHandle,
  path: string,
  head: Buffer,
  fragments: readonly Fragment[],
): Promise<void> {
  const to = await open(path, 'wx');
  try {
    await to.appendFile(head);
    for (const fragment of fragments) await copyFragment(from, to, fragment);
    await to.sync();
  } finally {
    await to.close();
  }
}

function boxNamed(boxes: readonly Box[], type: string, name: string): Box {
  const box = boxes.find((one) => one.type === type);
  if (box === undefined) throw new FilmFault('bad-output', `${name} has no ${type}`);
  return box;
}

async function fragmentsOf(
  file: FileHandle,
  boxes: readonly Box[],
  track: TrackHeader,
  name: string,
): Promise<Fragment[]> {
  const fragments: Fragment[] = [];
  for (const [i, moof] of boxes.entries()) {
    if (moof.type !== 'moof') continue;
    const mdat = boxes[i + 1];
    if (mdat?.type !== 'mdat') throw new FilmFault('bad-output', `${name}: no data after a moof`);
    const bytes = await readBox(file, moof);
    fragments.push({ moof, end: mdat.end, bytes, samples: readFragment(bytes, track) });
  }
  if (fragments.length === 0) throw new FilmFault('bad-output', `${name} has no fragments`);
  return fragments;
}

const firstTime = (fragments: readonly Fragment[]): number =>
  fragments.reduce((least, { samples }) => Math.min(least, samples.from), Infinity);

const lastTime = (fragments: readonly Fragment[]): number =>
  fragments.reduce((most, { samples }) => Math.max(most, samples.until), 0);

/** All of the fragment, to later. */
function moveTimes(moof: Buffer, { tfdt }: FragmentSamples, shift: number): void {
  const ticks = tfdt.ticks + shift;
  if (tfdt.isLarge) moof.writeBigUInt64BE(BigInt(ticks), tfdt.at);
  else moof.writeUInt32BE(ticks, tfdt.at);
}

/** Fragments of each segment; one must begin where a segment does. */
function groupsOf(
  fragments: readonly Fragment[],
  segmentSamples: readonly number[] | undefined,
  name: string,
): Fragment[][] {
  if (segmentSamples === undefined) return fragments.map((fragment) => [fragment]);
  const left = [...fragments];
  const groups = segmentSamples.map((wanted) => {
    const group: Fragment[] = [];
    for (let missing = wanted; missing > 0;) {
      const fragment = left.shift();
      missing -= fragment?.samples.samples ?? Infinity;
      if (fragment === undefined || missing < 0) {
        const message = `${name} has no keyframe at the start of a chunk: make it again`;
        throw new FilmFault('bad-output', message);
      }
      group.push(fragment);
    }
    return group;
  });
  if (left.length > 0) throw new FilmFault('bad-output', `${name} has more frames than its plan`);
  return groups;
}

function segmentsOf(
  groups: readonly Fragment[][],
  firstByte: number,
  /** Of each, and the end of the last. */
  times: readonly number[],
  name: string,
): Segment[] {
  if (groups.length > MAX_SEGMENTS) {
    throw new FilmFault('invalid-input', `${name} has ${groups.length} segments: make longer ones`);
  }
  let start = firstByte;
  return groups.map((group, i) => {
    const bytes = group.reduce((sum, { moof, end: until }) => sum + until - moof.start, 0);
    if (bytes > MAX_SEGMENT_BYTES) {
      throw new FilmFault('invalid-input', `${name} has a segment of ${bytes} bytes: make shorter`);
    }
    const segment = { start, bytes, ticks: times[i + 1]! - times[i]! };
    start += bytes;
    return segment;
  });
}

const indexLength = (segments: number): number => 40 + 12 * segments;

/** ISO/IEC 14496-12: every segment begins with a picture that needs no other. */
function indexBox(segments: readonly Segment[], timescale: number, startTicks: number): Buffer {
  const box = Buffer.alloc(indexLength(segments.length));
  box.writeUInt32BE(box.length, 0);
  box.write('sidx', 4, 'latin1');
  box[8] = 1;
  box.writeUInt32BE(1, 12);
  box.writeUInt32BE(timescale, 16);
  box.writeBigUInt64BE(BigInt(startTicks), 20);
  box.writeUInt16BE(segments.length, 38);
  for (const [i, { bytes, ticks }] of segments.entries()) {
    const at = 40 + 12 * i;
    box.writeUInt32BE(bytes, at);
    box.writeUInt32BE(ticks, at + 4);
    box.writeUInt32BE(0x9000_0000, at + 8);
  }
  return box;
}

/** The header with an edit behind `tkhd` that leaves out so many ticks; the boxes around it grow. */
function withEdit(moov: Buffer, ticks: number): Buffer {
  const [trak, tkhd] = [boxOf(moov, 'moov/trak')!, boxOf(moov, 'moov/trak/tkhd')!];
  const edit = Buffer.alloc(36);
  edit.writeUInt32BE(36, 0);
  edit.write('edts', 4, 'latin1');
  edit.writeUInt32BE(28, 8);
  edit.write('elst', 12, 'latin1');
  edit.writeUInt32BE(1, 20);
  // Length 0: all that follows.
  edit.writeInt32BE(ticks, 28);
  edit.writeUInt32BE(0x0001_0000, 32);
  const old = boxOf(moov, 'moov/trak/edts');
  const after = old ?? { start: tkhd.end, end: tkhd.end };
  const made = Buffer.concat([moov.subarray(0, after.start), edit, moov.subarray(after.end)]);
  const grown = edit.length - (after.end - after.start);
  made.writeUInt32BE(moov.readUInt32BE(0) + grown, 0);
  made.writeUInt32BE(moov.readUInt32BE(trak.start) + grown, trak.start);
  return made;
}

const COPY_BYTES = 1024 ** 2;

async function copyFragment(from: FileHandle, to: FileHandle, fragment: Fragment): Promise<void> {
  await to.appendFile(fragment.bytes);
  const buffer = Buffer.alloc(Math.min(COPY_BYTES, fragment.end - fragment.moof.end));
  for (let at = fragment.moof.end; at < fragment.end;) {
    const wanted = Math.min(buffer.length, fragment.end - at);
    const { bytesRead } = await from.read(buffer, 0, wanted, at);
    if (bytesRead === 0) throw new FilmFault('bad-output', 'a fragment ended early');
    await to.appendFile(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

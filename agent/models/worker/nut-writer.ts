/**
 * Raw pictures with exact times, as ffmpeg's NUT demuxer reads them from a pipe: raw video alone has no
 * times, and films may have any. One stream; before each picture a sync point, as pictures are larger than
 * what may lie between two. Written from the format's public description.
 */
import type { FrameLayout, FrameRate, FrameSize } from '../model-work.ts';
import { nutChecksum } from './nut-checksum.ts';

const FILE_ID = 'nut/multimedia container\0';
/** Startcodes: `N`, a letter, and six bytes of their own. */
const MAIN = Buffer.from([0x4e, 0x4d, 0x7a, 0x56, 0x1f, 0x5f, 0x04, 0xad]);
const STREAM = Buffer.from([0x4e, 0x53, 0x11, 0x40, 0x5b, 0xf2, 0xf9, 0xdb]);
const INFO = Buffer.from([0x4e, 0x49, 0xab, 0x68, 0xb5, 0x96, 0xba, 0x78]);
const SYNCPOINT = Buffer.from([0x4e, 0x4b, 0xe4, 0xad, 0xee, 0xca, 0x45, 0x69]);

const VERSION = 3;
const MAX_DISTANCE = 65_536;
/** A picture carries its flags itself; flags of this one code say so. */
const CODED = 4096;
const KEY = 1;
const CODED_TIME = 8;
const STREAM_ID = 16;
const SIZE = 32;
const CHECKSUM = 64;
const FRAME_CODE = 0;
const PICTURE_FLAGS = KEY | CODED_TIME | STREAM_ID | SIZE | CHECKSUM;
/** Times are written whole, never as their lowest bits. */
const TIME_BITS = 7;

const FOURCC: Readonly<Record<FrameLayout, Buffer>> = {
  rgb24: Buffer.from([0x52, 0x47, 0x42, 24]),
  yuv444p: Buffer.from('444P', 'latin1'),
  rgb48le: Buffer.from([0x52, 0x47, 0x42, 48]),
  yuv444p16le: Buffer.from([0x59, 0x33, 0, 16]),
};

export interface NutStream extends FrameSize {
  readonly layout: FrameLayout;
  readonly timeBase: { readonly num: number; readonly den: number };
  /** Where it is known. */
  readonly frameRate?: FrameRate | undefined;
}

/** What a file begins with. */
export function nutHeader({ width, height, layout, timeBase, frameRate }: NutStream): Buffer {
  const main = [
    ...[VERSION, 1, MAX_DISTANCE, 1, timeBase.num, timeBase.den].map(varying),
    frameCodes(),
    // No headers that are left out.
    varying(0),
  ];
  const stream = [
    // Its number; video.
    varying(0),
    varying(0),
    varyingBytes(FOURCC[layout]),
    ...[0, TIME_BITS, 0, 0, 0].map(varying),
    varyingBytes(Buffer.alloc(0)),
    // Size, shape of a pixel (unknown), colour (unknown).
    ...[width, height, 0, 0, 0].map(varying),
  ];
  return Buffer.concat([
    Buffer.from(FILE_ID, 'latin1'),
    packet(MAIN, Buffer.concat(main)),
    packet(STREAM, Buffer.concat(stream)),
    ...(frameRate === undefined ? [] : [packet(INFO, rateInfo(frameRate))]),
  ]);
}

/** Of the first stream and no chapter, one word: its name, that it is text, and the text. */
function rateInfo(frameRate: string): Buffer {
  const text = (words: string): Buffer => varyingBytes(Buffer.from(words, 'latin1'));
  const about = [varying(1), signed(0), varying(0), varying(0), varying(1)];
  return Buffer.concat([...about, text('r_frame_rate'), signed(-1), text(frameRate)]);
}

/** What stands before a picture's bytes. `ticks`: when it is shown, never less than 0. */
export function nutFrameHeader(ticks: number, sizeBytes: number): Buffer {
  const head = Buffer.concat([
    Buffer.from([FRAME_CODE]),
    // Of the flags, those that differ from the code's own.
    varying(PICTURE_FLAGS),
    varying(0),
    varying(ticks + 2 ** TIME_BITS),
    varying(sizeBytes),
  ]);
  return Buffer.concat([syncPoint(ticks), head, checksumOf(head)]);
}

function syncPoint(ticks: number): Buffer {
  return packet(SYNCPOINT, Buffer.concat([varying(ticks), varying(0)]));
}

/** All 256 codes mean the same but `N`, which only ever begins a startcode. */
function frameCodes(): Buffer {
  const entry = (flags: number, count: number): Buffer =>
    // Fields: time, multiplier, stream, size, reserved, count.
    Buffer.concat([varying(flags), varying(6), signed(0), ...[1, 0, 0, 0, count].map(varying)]);
  return entry(CODED, 255);
}

function packet(startcode: Buffer, content: Buffer): Buffer {
  const length = varying(content.length + 4);
  const head = Buffer.concat([startcode, length]);
  const headSum = content.length + 4 > 4096 ? [checksumOf(head)] : [];
  return Buffer.concat([head, ...headSum, content, checksumOf(content)]);
}

function checksumOf(bytes: Buffer): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(nutChecksum(bytes));
  return sum;
}

/** Seven bits a byte, highest first. */
function varying(value: number): Buffer {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift((rest % 128) + 128);
  }
  return Buffer.from(bytes);
}

function signed(value: number): Buffer {
  return varying(value > 0 ? 2 * value - 1 : -2 * value);
}

function varyingBytes(bytes: Buffer): Buffer {
  return Buffer.concat([varying(bytes.length), bytes]);
}

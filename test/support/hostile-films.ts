/**
 * Films that mean harm, made byte by byte: files that name other files, sizes that nobody can hold,
 * tables without end. What they are made from is a small MP4 of ours with its index at the end.
 */
import { deflateSync } from 'node:zlib';
import { boxOf, contentOf, withContent } from './mp4-boxes.ts';

const TRACK = 'moov/trak';
const MEDIA = `${TRACK}/mdia`;
const TABLES = `${MEDIA}/minf/stbl`;

/** Scripts that would have a player open `file` and `url`, by the name of their kind. */
export function scripts(file: string, url: string): Readonly<Record<string, string>> {
  return {
    'HLS playlist':
      '#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n' +
      `#EXTINF:4,\nfile://${file}\n#EXTINF:4,\n${url}/two.ts\n#EXT-X-ENDLIST\n`,
    'HLS playlist with a key and a map elsewhere':
      `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI="${url}/key"\n` +
      `#EXT-X-MAP:URI="file://${file}"\n#EXTINF:4,\n${url}/one.ts\n#EXT-X-ENDLIST\n`,
    'HLS list of playlists': `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n${url}/list.m3u8\n`,
    'concat script': `ffconcat version 1.0\nfile '${file}'\nfile '${url}/two.ts'\n`,
    'DASH manifest':
      '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" ' +
      'mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4">' +
      `<Representation id="1" bandwidth="1"><BaseURL>${url}/one.mp4</BaseURL>` +
      '</Representation></AdaptationSet></Period></MPD>',
    'session description': `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n`,
    'list of parts (IMF)':
      '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">' +
      `<Id>urn:uuid:${file}</Id></CompositionPlaylist>`,
    'picture that draws others': `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="file://${file}"/></svg>`,
    'subtitles that draw':
      '[Script Info]\nScriptType: v4.00+\n[Events]\nFormat: Start, End, Style, Text\n' +
      `Dialogue: 0:00:00.00,0:00:09.00,Default,{\\fn${file}\\p1}{\\img(${url}/a.png)}x\n`,
    'text of WebVTT': `WEBVTT\n\n00:00.000 --> 00:09.000\n<img src="${url}/a.png">\n`,
    'reference of QuickTime':
      `<?xml version="1.0"?><?quicktime type="application/x-quicktime-media-link"?>` +
      `<embed src="${url}/film.mov" />`,
    'reference of Windows Media': `[Reference]\nRef1=${url}/film.asf\nRef2=file://${file}\n`,
  };
}

/** Its samples are said to lie in another file: QuickTime's data reference, with an alias record. */
export function withSamplesElsewhere(film: Buffer, path: string): Buffer {
  // Volume, names and dates are empty; then the absolute path (2), padded, and the end (-1).
  const text = Buffer.from(path.length % 2 === 0 ? path : `${path}\0`);
  const record = Buffer.alloc(10 + 28 + 12 + 64 + 16 + 4 + 16);
  const tail = Buffer.concat([uint16(2, text.length), text, uint16(0xffff, 0)]);
  const padding = Buffer.alloc(160);
  const alias = boxOf('alis', Buffer.concat([uint32(0), record, tail, padding]));
  return withContent(film, `${MEDIA}/minf/dinf/dref`, Buffer.concat([uint32(0), uint32(1), alias]));
}

/** So many tracks, each like the first. */
export function withTracks(film: Buffer, count: number): Buffer {
  const moov = contentOf(film, 'moov');
  const track = contentOf(film, TRACK);
  const header = contentOf(film, `${TRACK}/tkhd`);
  const at = track.indexOf(header);
  const more = Array.from({ length: count - 1 }, (_, i) => {
    const copy = Buffer.from(track);
    copy.writeUInt32BE(i + 2, at + 12);
    return boxOf('trak', copy);
  });
  return withContent(film, 'moov', Buffer.concat([moov, ...more]));
}

/** The header says so many seconds, at most 2^32 ticks. */
export function withDuration(film: Buffer, seconds: number): Buffer {
  const changed = Buffer.from(film);
  for (const path of ['moov/mvhd', `${MEDIA}/mdhd`]) {
    const header = contentOf(changed, path);
    header.writeUInt32BE(Math.min(0xffff_fffe, seconds * header.readUInt32BE(12)), 16);
  }
  contentOf(changed, `${TRACK}/tkhd`).writeUInt32BE(Math.min(0xffff_fffe, seconds * 1000), 20);
  return changed;
}

/** So many samples, of one byte each, in one chunk: the index of a small file that wants gigabytes. */
export function withSamples(film: Buffer, count: number): Buffer {
  const table = (...values: number[]): Buffer => Buffer.concat(values.map(uint32));
  const edited = withContent(film, `${TABLES}/stsz`, table(0, 1, count));
  const timed = withContent(edited, `${TABLES}/stts`, table(0, 1, count, 1));
  return withContent(timed, `${TABLES}/stsc`, table(0, 1, 1, count, 1));
}

/** Width and height, in both headers. */
export function withSize(film: Buffer, width: number, height: number): Buffer {
  const changed = Buffer.from(film);
  const track = contentOf(changed, `${TRACK}/tkhd`);
  track.writeUInt32BE(width * 65_536, 76);
  track.writeUInt32BE(height * 65_536, 80);
  // The first entry: 8 bytes before it, then its own header.
  const entry = contentOf(changed, `${TABLES}/stsd`).subarray(8 + 8);
  entry.writeUInt16BE(width, 24);
  entry.writeUInt16BE(height, 26);
  return changed;
}

/** A stream of H.264 whose only header promises pictures of so many blocks of 16×16. */
export function h264Of(widthBlocks: number, heightBlocks: number): Buffer {
  const bits = new BitWriter();
  // Baseline, level 6.2, id 0; frame numbers of 4 bits, order type 2, one reference, no gaps.
  bits.fixed(66, 8).fixed(0, 8).fixed(62, 8).golomb(0).golomb(0).golomb(2).golomb(1).fixed(0, 1);
  bits.golomb(widthBlocks - 1).golomb(heightBlocks - 1);
  // Frames only, 8×8 inference, no cropping, no VUI, stop bit.
  bits.fixed(1, 1).fixed(1, 1).fixed(0, 1).fixed(0, 1).fixed(1, 1);
  const start = Buffer.from([0, 0, 0, 1]);
  const nal = (type: number, body: Buffer): Buffer =>
    Buffer.concat([start, Buffer.from([0x60 | type]), body]);
  // An I picture from block 0 on: its number, its id, no marks, nothing changed of quality and filter.
  const slice = new BitWriter().golomb(0).golomb(7).golomb(0).fixed(0, 4).golomb(0).fixed(0, 2);
  slice.golomb(0).golomb(0).golomb(0).golomb(0).fixed(0xff_ffff, 24);
  const picture = nal(5, slice.bytes());
  const setup = Buffer.concat([nal(7, bits.bytes()), nal(8, Buffer.from([0xce, 0x3c, 0x80]))]);
  return Buffer.concat(Array.from({ length: 20 }, () => Buffer.concat([setup, picture])));
}

/** A picture of so many grey pixels a side, in a few kilobytes. */
export function pngOf(side: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer =>
    Buffer.concat([uint32(data.length), Buffer.from(type), data, uint32(0)]);
  const header = Buffer.concat([uint32(side), uint32(side), Buffer.from([1, 0, 0, 0, 0])]);
  const pixels = deflateSync(Buffer.alloc(1024 * 1024));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, i * 2);
  return bytes;
}

class BitWriter {
  readonly #bits: number[] = [];

  fixed(value: number, width: number): this {
    for (let i = width - 1; i >= 0; i -= 1) this.#bits.push((value >> i) & 1);
    return this;
  }

  /** Exponential Golomb code, as H.264 writes numbers. */
  golomb(value: number): this {
    const width = 32 - Math.clz32(value + 1);
    return this.fixed(0, width - 1).fixed(value + 1, width);
  }

  /** Filled up with zeros; runs that look like a start code are broken as the standard says. */
  bytes(): Buffer {
    const bytes: number[] = [];
    for (let at = 0; at < this.#bits.length; at += 8) {
      const byte = this.#bits.slice(at, at + 8).reduce((sum, bit, i) => sum | (bit << (7 - i)), 0);
      if (byte <= 3 && bytes.at(-1) === 0 && bytes.at(-2) === 0) bytes.push(3);
      bytes.push(byte);
    }
    return Buffer.from(bytes);
  }
}

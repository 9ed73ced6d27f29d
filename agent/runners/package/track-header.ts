/** What `moov` says of a file that holds one track. */
import { FilmFault } from '../film/film-fault.ts';
import { boxesIn, boxOf, within, type Box } from './boxes.ts';
import { codecString } from './codec-string.ts';

/** What a file's header says of its one track. */
export interface TrackHeader {
  /** Ticks a second. */
  readonly timescale: number;
  /** Such as `avc1.64001f`; undefined for a coding that packages do not have. */
  readonly codec: string | undefined;
  /** As shown; 0 for sound. */
  readonly width: number;
  readonly height: number;
  /** 0 for pictures. */
  readonly channels: number;
  readonly sampleRate: number;
  /** Of samples whose fragments say none. */
  readonly sampleTicks: number;
}

/** `moov`: with its own header. Throws FilmFault `bad-output`. */
export function readTrackHeader(moov: Buffer): TrackHeader {
  return within('moov', () => {
    const needed = (path: string): Box => {
      const box = boxOf(moov, path);
      if (box === undefined) throw new FilmFault('bad-output', `a header has no ${path}`);
      return box;
    };
    const mdhd = needed('moov/trak/mdia/mdhd').content;
    const timescale = moov.readUInt32BE(mdhd + (moov[mdhd] === 1 ? 20 : 12));
    const stsd = needed('moov/trak/mdia/minf/stbl/stsd');
    const [entry] = boxesIn(moov, stsd.content + 8, stsd.end);
    if (entry === undefined || timescale === 0) {
      throw new FilmFault('bad-output', 'a header has no coding or no clock');
    }
    const isSound = entry.type === 'mp4a';
    const [width, height] = isSound ? [0, 0] : shownSize(moov, entry, needed('moov/trak/tkhd'));
    return {
      timescale,
      codec: codecString(moov, entry),
      width,
      height,
      channels: isSound ? moov.readUInt16BE(entry.content + 16) : 0,
      sampleRate: isSound ? moov.readUInt16BE(entry.content + 24) : 0,
      sampleTicks: moov.readUInt32BE(needed('moov/mvex/trex').content + 12),
    };
  });
}

/** Turned by a quarter, width and height change places. */
function shownSize(moov: Buffer, entry: Box, tkhd: Box): [number, number] {
  const stored = [entry.content + 24, entry.content + 26].map((at) => moov.readUInt16BE(at));
  const [width = 0, height = 0] = stored;
  const matrix = tkhd.content + (moov[tkhd.content] === 1 ? 52 : 40);
  return moov.readInt32BE(matrix) === 0 ? [height, width] : [width, height];
}

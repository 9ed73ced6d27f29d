/** Reads a file of fragments by its own index, as players do, for the proof. */
import { open } from 'node:fs/promises';
import { FilmFault } from '../film/film-fault.ts';
import { fileBoxes, readBox } from './boxes.ts';
import { readTrackHeader, type TrackHeader } from './track-header.ts';
import type { Segment } from './indexed-file.ts';

export interface ReadIndex {
  readonly track: TrackHeader;
  readonly headerBytes: number;
  readonly indexBytes: number;
  readonly startSeconds: number;
  /** They follow one another to the file's end; each begins with a `moof`. */
  readonly segments: readonly (Segment & { readonly seconds: number })[];
}

/** `name` is for people. Throws FilmFault `bad-output`. */
export async function readIndex(path: string, name: string): Promise<ReadIndex> {
  const odd = (what: string): FilmFault =>
    new FilmFault('bad-output', `not proven: ${name}: ${what}`);
  const file = await open(path, 'r');
  try {
    const boxes = await fileBoxes(file, name);
    const [ftyp, moov, sidx, ...rest] = boxes;
    if (ftyp?.type !== 'ftyp' || moov?.type !== 'moov' || sidx?.type !== 'sidx') {
      throw odd('it does not begin with ftyp, moov and sidx');
    }
    if (rest.some(({ type }, i) => type !== (i % 2 === 0 ? 'moof' : 'mdat'))) {
      throw odd('it has more than fragments behind its index');
    }
    const index = await readBox(file, sidx);
    const count = index.readUInt16BE(38);
    if (index[8] !== 1 || index.length !== 40 + 12 * count) throw odd('its index is not whole');
    const timescale = index.readUInt32BE(16);
    const begins = new Set(rest.filter(({ type }) => type === 'moof').map(({ start }) => start));
    let start = sidx.end + Number(index.readBigUInt64BE(28));
    const segments: (Segment & { seconds: number })[] = [];
    for (let i = 0; i < count; i += 1) {
      const [bytes, ticks] = [index.readUInt32BE(40 + 12 * i), index.readUInt32BE(44 + 12 * i)];
      if (!begins.has(start)) throw odd(`segment ${i + 1} does not begin with a fragment`);
      segments.push({ start, bytes, ticks, seconds: ticks / timescale });
      start += bytes;
    }
    if (start !== (await file.stat()).size) throw odd('its segments are not all of it');
    return {
      track: readTrackHeader(await readBox(file, moov)),
      headerBytes: sidx.start,
      indexBytes: sidx.end - sidx.start,
      startSeconds: Number(index.readBigUInt64BE(20)) / timescale,
      segments,
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw odd('its index is too short');
  } finally {
    await file.close();
  }
}

/** The samples that a `moof` lists, and their times. */
import { FilmFault } from '../film/film-fault.ts';
import { boxesIn, boxOf, within, type Box } from './boxes.ts';
import type { TrackHeader } from './track-header.ts';

/** A fragment's samples, and where its times stand in its bytes. */
export interface FragmentSamples {
  readonly samples: number;
  /** Earliest time at which one of them is shown, and the latest at which one ends, in ticks. */
  readonly from: number;
  readonly until: number;
  readonly tfdt: { readonly at: number; readonly isLarge: boolean; readonly ticks: number };
}

/** `moof`: with its own header. Throws FilmFault `bad-output`. */
export function readFragment(moof: Buffer, { sampleTicks }: TrackHeader): FragmentSamples {
  return within('moof', () => {
    const [tfhd, tfdt, traf] = ['moof/traf/tfhd', 'moof/traf/tfdt', 'moof/traf'].map((path) =>
      boxOf(moof, path),
    );
    if (tfhd === undefined || tfdt === undefined || traf === undefined) {
      throw new FilmFault('bad-output', 'a fragment does not say when it begins');
    }
    const isLarge = moof[tfdt.content] === 1;
    const at = tfdt.content + 4;
    const ticks = isLarge ? Number(moof.readBigUInt64BE(at)) : moof.readUInt32BE(at);
    const usual = usualTicks(moof, tfhd, sampleTicks);
    let [decode, samples, from, until] = [ticks, 0, Infinity, -Infinity];
    for (const trun of boxesIn(moof, traf.content, traf.end)) {
      if (trun.type !== 'trun') continue;
      for (const sample of samplesOf(moof, trun, usual)) {
        from = Math.min(from, decode + sample.offset);
        until = Math.max(until, decode + sample.offset + sample.ticks);
        decode += sample.ticks;
        samples += 1;
      }
    }
    return { samples, from, until, tfdt: { at, isLarge, ticks } };
  });
}

function usualTicks(moof: Buffer, tfhd: Box, sampleTicks: number): number {
  const flags = moof.readUIntBE(tfhd.content + 1, 3);
  if ((flags & 0x08) === 0) return sampleTicks;
  const before = ((flags & 0x01) === 0 ? 0 : 8) + ((flags & 0x02) === 0 ? 0 : 4);
  return moof.readUInt32BE(tfhd.content + 8 + before);
}

interface Sample {
  readonly ticks: number;
  /** From decoding to showing. */
  readonly offset: number;
}

function* samplesOf(moof: Buffer, trun: Box, usual: number): Generator<Sample> {
  const isSigned = moof[trun.content] === 1;
  const flags = moof.readUIntBE(trun.content + 1, 3);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const count = moof.readUInt32BE(trun.content + 4);
  let at = trun.content + 8 + (has(0x01) ? 4 : 0) + (has(0x04) ? 4 : 0);
  const next = (): number => {
    if (at + 4 > trun.end) throw new FilmFault('bad-output', 'a fragment lacks samples');
    at += 4;
    return at - 4;
  };
  for (let i = 0; i < count; i += 1) {
    const ticks = has(0x100) ? moof.readUInt32BE(next()) : usual;
    if (has(0x200)) next();
    if (has(0x400)) next();
    if (!has(0x800)) yield { ticks, offset: 0 };
    else yield { ticks, offset: isSigned ? moof.readInt32BE(next()) : moof.readUInt32BE(next()) };
  }
}

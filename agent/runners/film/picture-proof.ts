/**
 * Holds what a film says of its picture against what the makers of its chunks promised: bits of its values, colours,
 * and HDR10's display and light levels. A film that says otherwise plays too dark, too pale or in bands.
 */
import type { Check } from '../../../kit/proof-report.ts';
import type { ChunkSeal, SaidPicture } from './chunk-seal.ts';
import type { MediaProcess } from './media-process.ts';
import { describePicture } from './picture.ts';
import { bitsOf } from './pixel-depth.ts';
import { pictureStream, probeAndDecode } from './source-facts.ts';

/** Codecs count light and colour in units of their own: so many of ours may be off. */
const MAX_OFF = 2;

/** None where nobody promised anything. */
export async function pictureChecks(
  media: MediaProcess,
  film: string,
  seals: readonly ChunkSeal[],
): Promise<readonly Check[]> {
  const [seal] = seals;
  if (seal?.said === undefined) return [];
  const stream = pictureStream(await probeAndDecode(media, film));
  // That there is a picture is another check's.
  if (stream === undefined) return [];
  const found = describePicture(stream);
  return [
    depthCheck(bitsOf(seal.pixelFormat), bitsOf(found.pixelFormat)),
    ...colourCheck(seal.said, found),
    ...hdr10Check(seal.said, found),
  ];
}

function depthCheck(expected: number, found: number): Check {
  const finding = `it has ${found} bits a value, not ${expected}: this agent's encoder may make no others, use another build of ffmpeg`;
  return {
    check: 'bits of each value',
    expected,
    found,
    finding: found === expected ? undefined : finding,
  };
}

function colourCheck({ colour }: SaidPicture, { colour: said }: SaidPicture): readonly Check[] {
  // Encoders leave out what every player takes for granted.
  const found = { ...said, range: said.range === 'unknown' ? 'tv' : said.range };
  const names = (['range', 'space', 'transfer', 'primaries'] as const).filter(
    (name) => colour[name] !== 'unknown',
  );
  if (names.length === 0) return [];
  const wrong = names.find((name) => colour[name] !== found[name]);
  return [
    {
      check: `colour: ${names.join(', ')}`,
      expected: names.map((name) => colour[name]).join(', '),
      found: names.map((name) => found[name]).join(', '),
      finding:
        wrong === undefined
          ? undefined
          : `its ${wrong} of colour is ${found[wrong]}, not ${colour[wrong]}`,
    },
  ];
}

function hdr10Check(said: SaidPicture, found: SaidPicture): readonly Check[] {
  const expected = words(said);
  if (expected === '') return [];
  const isSame =
    isNear(said.masteringDisplay, found.masteringDisplay) &&
    isNear(said.contentLight, found.contentLight);
  return [
    {
      check: "HDR10's display and light levels",
      expected,
      found: words(found) || 'none',
      finding: isSame ? undefined : `its HDR10 data are ${words(found) || 'missing'}`,
    },
  ];
}

function words({ masteringDisplay, contentLight }: SaidPicture): string {
  return [masteringDisplay, contentLight].filter((text) => text !== '').join(' ');
}

/** The same numbers, or nearly so; anything where nothing was promised. */
function isNear(expected: string, found: string): boolean {
  if (expected === '') return true;
  const numbers = (text: string): number[] => (text.match(/\d+/g) ?? []).map(Number);
  const there = numbers(found);
  const wanted = numbers(expected);
  return (
    wanted.length === there.length &&
    wanted.every((value, i) => Math.abs(value - there[i]!) <= MAX_OFF)
  );
}

/**
 * A film's picture as people see it: upright, in square pixels, in the colours that any screen shows. For
 * pictures and for films of several sources, which have one form and not the source's own.
 */
import { FilmFault } from './film-fault.ts';
import { describePicture, uprightFilters } from './picture.ts';
import { pictureStream, streamsOf, type MediaFacts, type MediaStream } from './source-facts.ts';

export interface ShownPicture {
  readonly stream: MediaStream;
  /** Pixels as it is shown, before any scaling: turned upright, and of square pixels. */
  readonly width: number;
  readonly height: number;
  /** The colours that its container says, or that are likely. */
  readonly colours: readonly string[];
  /** From the stored picture to an upright one. */
  readonly upright: readonly string[];
  /** Brighter than a usual screen: PQ or HLG. */
  readonly isHdr: boolean;
}

/** Throws FilmFault `invalid-input` where there is no picture. */
export function shownPicture(name: string, facts: MediaFacts): ShownPicture {
  const stream = pictureStream(facts);
  if (stream === undefined) {
    const only = streamsOf(facts, 'audio').length > 0 ? 'only audio' : 'no video';
    throw new FilmFault('invalid-input', `${name} has ${only}: there is no picture in it`);
  }
  const { width, height, orientation, colour } = describePicture(stream);
  if (width < 1 || height < 1) {
    throw new FilmFault('invalid-input', `${name} does not say how large its picture is`);
  }
  const [across, down] = pixelShape(stream);
  const wide = Math.max(1, Math.round((width * across) / down));
  const isTurned = orientation[0] === 0;
  const isHdr = colour.transfer === 'smpte2084' || colour.transfer === 'arib-std-b67';
  return {
    stream,
    width: isTurned ? height : wide,
    height: isTurned ? wide : height,
    colours: colourTags(colour, height),
    upright: uprightFilters(orientation),
    isHdr,
  };
}

/** Width and height of a pixel; far from square only in a broken header. */
function pixelShape({ sample_aspect_ratio }: MediaStream): readonly [number, number] {
  const [, across, down] = /^(\d+):(\d+)$/.exec(sample_aspect_ratio ?? '') ?? [];
  const [a, d] = [Number(across), Number(down)];
  return a > 0 && d > 0 && a / d <= 4 && d / a <= 4 ? [a, d] : [1, 1];
}

interface Colour {
  readonly range: string;
  readonly space: string;
  readonly transfer: string;
  readonly primaries: string;
}

/** What a container does not say is what its size makes likely, as players take it. */
function colourTags({ range, space, transfer, primaries }: Colour, height: number): string[] {
  const usual = height >= 720 ? 'bt709' : 'smpte170m';
  const said = (value: string): string => (value === 'unknown' ? usual : value);
  const words = [
    range === 'unknown' ? '' : `range=${range}`,
    `colorspace=${said(space === 'gbr' ? 'unknown' : space)}`,
    `color_trc=${transfer === 'unknown' ? 'bt709' : transfer}`,
    `color_primaries=${said(primaries)}`,
  ];
  return [`setparams=${words.filter((word) => word !== '').join(':')}`];
}

/** Filters from an HDR picture to one of BT.709, in floats; the rest of the colours are left to scaling. */
export const HDR_TONES: readonly string[] = [
  'zscale=t=linear:npl=100',
  'format=gbrpf32le',
  'zscale=p=bt709',
  'tonemap=tonemap=hable:desat=0',
  'zscale=t=bt709:m=bt709:r=tv',
];

/** The same, in eight bits. */
export const HDR_TO_SDR: readonly string[] = [...HDR_TONES, 'format=yuv420p'];

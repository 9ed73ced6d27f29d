/** What a package holds, and how its files are named. Pure. */
import type { IndexedFile } from './indexed-file.ts';

export interface PackagedPicture {
  /** Within the folder, as all names here. */
  readonly file: string;
  readonly index: IndexedFile;
}

export interface TrackLabel {
  /** As the film has it, such as `eng`; undefined for none. */
  readonly language: string | undefined;
  /** For people; no two of a kind have the same. */
  readonly name: string;
}

export interface PackagedSound extends TrackLabel {
  readonly file: string;
  readonly index: IndexedFile;
}

export interface PackagedSubtitles extends TrackLabel {
  readonly file: string;
}

export interface FilmPackage {
  /** From 0 to the end of the last frame. */
  readonly seconds: number;
  /** On average, a second. */
  readonly frameRate: number;
  /** Best first. */
  readonly pictures: readonly PackagedPicture[];
  readonly sounds: readonly PackagedSound[];
  readonly subtitles: readonly PackagedSubtitles[];
}

export const MASTER_NAME = 'master.m3u8';
export const MANIFEST_NAME = 'manifest.mpd';

export const pictureFile = (lines: number): string => `${lines}p.mp4`;
export const soundFile = (track: number): string => `audio-${track + 1}.mp4`;
export const subtitleFile = (track: number): string => `subtitles-${track + 1}.vtt`;
export const playlistOf = (file: string): string => file.replace(/\.[a-z0-9]+$/, '.m3u8');

export interface BitRates {
  /** Of any one segment. */
  readonly peak: number;
  readonly average: number;
}

/** Bits a second. */
export function bitRates({ segments, timescale }: IndexedFile): BitRates {
  const rate = (bytes: number, ticks: number): number =>
    Math.ceil((bytes * 8 * timescale) / Math.max(1, ticks));
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const ticks = segments.reduce((sum, segment) => sum + segment.ticks, 0);
  const peaks = segments.map((segment) => rate(segment.bytes, segment.ticks));
  return { peak: peaks.reduce((a, b) => Math.max(a, b), 1), average: rate(bytes, ticks) };
}

/** No two names alike, none empty, none that would end a quoted word. */
export function labels(
  tracks: readonly {
    readonly language?: string | undefined;
    readonly title?: string | undefined;
  }[],
  kind: string,
): TrackLabel[] {
  const taken = new Set<string>();
  return tracks.map(({ language: said, title }, i) => {
    const language =
      said === undefined || !/^[A-Za-z]{2,8}(-[\w-]+)?$/.test(said) ? undefined : said;
    const known = language === 'und' ? undefined : language;
    // Control characters end a line; a quote ends the word.
    // eslint-disable-next-line no-control-regex -- those are what is looked for
    const plain = (title ?? '').replaceAll(/[\u0000-\u001f\u007f"]/g, ' ').trim();
    const wanted = plain || known || `${kind} ${i + 1}`;
    const name = taken.has(wanted) ? `${wanted} (${i + 1})` : wanted;
    taken.add(name);
    return { language: known, name };
  });
}

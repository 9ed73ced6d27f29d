/**
 * Reads playlists as a player does (RFC 8216), for the proof: written apart from what writes them, so that a
 * mistake there is found here. A line that is not understood is a fault. Pure.
 */
import { FilmFault } from '../film/film-fault.ts';

export interface ByteRange {
  readonly file: string;
  readonly start: number;
  readonly bytes: number;
}

export interface ReadPlaylist {
  readonly header: ByteRange | undefined;
  readonly segments: readonly (Partial<ByteRange> & {
    readonly file: string;
    readonly seconds: number;
  })[];
}

export interface ReadMaster {
  readonly variants: readonly {
    readonly uri: string;
    readonly attributes: ReadonlyMap<string, string>;
  }[];
  readonly media: readonly ReadonlyMap<string, string>[];
}

/** `name` is for people. Throws FilmFault `bad-output`. */
export function readMaster(text: string, name: string): ReadMaster {
  const variants: { uri: string; attributes: ReadonlyMap<string, string> }[] = [];
  const media: ReadonlyMap<string, string>[] = [];
  let open: ReadonlyMap<string, string> | undefined;
  for (const line of linesOf(text, name)) {
    const [tag, value] = tagOf(line);
    if (open !== undefined && tag !== undefined) throw odd(name, line);
    if (tag === undefined) {
      if (open === undefined) throw odd(name, line);
      variants.push({ uri: line, attributes: open });
      open = undefined;
    } else if (tag === 'EXT-X-STREAM-INF') open = attributesOf(value, name);
    else if (tag === 'EXT-X-MEDIA') media.push(attributesOf(value, name));
    else if (tag !== 'EXT-X-VERSION' && tag !== 'EXT-X-INDEPENDENT-SEGMENTS') throw odd(name, line);
  }
  if (open !== undefined) throw odd(name, 'a variant without an address');
  return { variants, media };
}

export function readPlaylist(text: string, name: string): ReadPlaylist {
  const lines = linesOf(text, name);
  if (lines.pop() !== '#EXT-X-ENDLIST') throw odd(name, 'no end');
  const segments: { file: string; seconds: number; start?: number; bytes?: number }[] = [];
  let header: ByteRange | undefined;
  let seconds: number | undefined;
  let range: { start: number; bytes: number } | undefined;
  let target = 0;
  for (const line of lines) {
    const [tag, value] = tagOf(line);
    if (tag === undefined) {
      if (seconds === undefined) throw odd(name, line);
      if (Math.round(seconds) > target) throw odd(name, `a segment of ${seconds} s`);
      segments.push({ file: line, seconds, ...range });
      [seconds, range] = [undefined, undefined];
    } else if (tag === 'EXTINF' && /^\d+\.\d+,$/.test(value)) seconds = Number(value.slice(0, -1));
    else if (tag === 'EXT-X-BYTERANGE') range = rangeOf(value, name);
    else if (tag === 'EXT-X-TARGETDURATION') target = Number(value);
    else if (tag === 'EXT-X-MAP') {
      const words = attributesOf(value, name);
      header = { file: words.get('URI') ?? '', ...rangeOf(words.get('BYTERANGE') ?? '', name) };
    } else if (!PLAIN.has(line)) throw odd(name, line);
  }
  if (seconds !== undefined) throw odd(name, 'a segment without an address');
  return { header, segments };
}

const PLAIN = new Set([
  '#EXT-X-VERSION:7',
  '#EXT-X-MEDIA-SEQUENCE:0',
  '#EXT-X-PLAYLIST-TYPE:VOD',
  '#EXT-X-INDEPENDENT-SEGMENTS',
]);

function linesOf(text: string, name: string): string[] {
  const [first, ...lines] = text.split('\n');
  if (first !== '#EXTM3U' || lines.pop() !== '') throw odd(name, 'it is not whole');
  return lines;
}

function tagOf(line: string): readonly [string | undefined, string] {
  const [, tag, value = ''] = /^#([A-Z0-9-]+)(?::(.*))?$/.exec(line) ?? [];
  return [tag, value];
}

function attributesOf(text: string, name: string): ReadonlyMap<string, string> {
  const words = new Map<string, string>();
  const word = /([A-Z0-9-]+)=(?:"([^"]*)"|([^",]+))(?:,|$)/y;
  while (word.lastIndex < text.length) {
    const match = word.exec(text);
    const key = match?.[1];
    if (key === undefined || words.has(key)) throw odd(name, text);
    words.set(key, match?.[2] ?? match?.[3] ?? '');
  }
  return words;
}

function rangeOf(text: string, name: string): { start: number; bytes: number } {
  const [, bytes, start] = /^(\d+)@(\d+)$/.exec(text) ?? [];
  if (start === undefined) throw odd(name, `range ${text}`);
  return { start: Number(start), bytes: Number(bytes) };
}

function odd(name: string, what: string): FilmFault {
  return new FilmFault('bad-output', `not proven: ${name} is no playlist: ${what}`);
}

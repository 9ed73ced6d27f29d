/**
 * File names that may be joined to a directory without leaving it. Names come from users, from other
 * agents and from patterns that units matched, and are checked wherever they meet a disk.
 */
const MAX_SEGMENT_BYTES = 255;
const MAX_NAME_BYTES = 1024;

// Control characters, and the line and paragraph separators that would break a log line.
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\\]/u;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Why `name` is not a safe relative file name, in a few words, or undefined when it is one. `/`
 * separates folders. Names are in Unicode's composed form (NFC), so that two names that look the same
 * are the same.
 */
export function unsafeName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (FORBIDDEN.test(name)) return 'it has a control character or a backslash';
  if (LONE_SURROGATE.test(name)) return 'it is not valid Unicode';
  if (name.startsWith('/')) return 'it is absolute';
  if (name.normalize('NFC') !== name) return 'it is not in composed Unicode form (NFC)';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`;
  for (const segment of name.split('/')) {
    if (segment === '') return 'it has an empty part';
    if (segment === '.' || segment === '..') return `it has the part '${segment}'`;
    if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
      return `it has a part longer than ${MAX_SEGMENT_BYTES} bytes`;
    }
  }
  return undefined;
}

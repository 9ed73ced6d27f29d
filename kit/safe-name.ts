/**
 * File names that may be joined to a directory without leaving it, whatever system they meet. Names come from
 * users, from other agents and from patterns that units matched, and are checked wherever they meet a disk.
 * `coordinator/domain/names.ts` has the same rules; a test holds the two together.
 */
const MAX_SEGMENT_BYTES = 255;
const MAX_NAME_BYTES = 1024;

// Control characters, and the line and paragraph separators that would break a log line.
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\\]/u;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** What is not seen, or turns what is seen around. The two joiners are left: some scripts and emoji need them. */
const INVISIBLE = /(?![\u200c\u200d])\p{Cf}/u;
const DRIVE = /^[A-Za-z]:/;
/** Windows opens a device, whatever follows the first dot. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)/i;

/** Most names are such that no other rule has anything to say: of a long list each is looked at. */
const PLAIN = /^(?:(?!con|prn|aux|nul|com|lpt)[\w-]+(?:\.[\w-]+)*(?:\/|$))+(?<!\/)$/i;
const LONGEST_PLAIN = 200;

/**
 * Why `name` is not a safe relative file name, in a few words, or undefined when it is one. `/`
 * separates folders. Names are in Unicode's composed form (NFC), so that two names that look the same
 * are the same.
 */
export function unsafeName(name: string): string | undefined {
  if (name.length <= LONGEST_PLAIN && PLAIN.test(name)) return undefined;
  if (name === '') return 'it is empty';
  if (FORBIDDEN.test(name)) return 'it has a control character or a backslash';
  if (LONE_SURROGATE.test(name)) return 'it is not valid Unicode';
  if (INVISIBLE.test(name)) return 'it has an invisible character';
  if (name.startsWith('/') || DRIVE.test(name)) return 'it is absolute';
  if (name.normalize('NFC') !== name) return 'it is not in composed Unicode form (NFC)';
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`;
  for (const segment of name.split('/')) {
    const fault = unsafeSegment(segment);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function unsafeSegment(segment: string): string | undefined {
  if (segment === '') return 'it has an empty part';
  if (segment === '.' || segment === '..') return `it has the part '${segment}'`;
  if (/[. ]$/.test(segment)) return 'it has a part that ends with a dot or a space';
  if (DEVICE.test(segment)) return `'${segment}' is a device on Windows`;
  if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
    return `it has a part longer than ${MAX_SEGMENT_BYTES} bytes`;
  }
  return undefined;
}

/**
 * The same for names that some disk takes for one: those that do not tell large letters from small ones, or
 * that leave out what is not seen.
 */
export function nameKey(name: string): string {
  // Most are: of a long list each is looked at.
  if (/^[\x20-\x7e]*$/.test(name)) return name.toLowerCase();
  const visible = name.replace(/\p{Default_Ignorable_Code_Point}/gu, '');
  return visible.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

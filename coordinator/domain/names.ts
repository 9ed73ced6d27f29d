/** Names of steps and files, and the patterns that pick files. */
import type { File } from './task.ts';

const STEP_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const TICKET_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const OWNER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SHA256 = /^[0-9a-f]{64}$/;

export function isStepName(name: string): boolean {
  return STEP_NAME.test(name);
}

export function isTicketName(name: string): boolean {
  return TICKET_NAME.test(name);
}

export function isOwnerName(name: string): boolean {
  return OWNER_NAME.test(name);
}

export function isModelName(name: string): boolean {
  return MODEL_NAME.test(name);
}

export function isSha256(text: string): boolean {
  return SHA256.test(text);
}

/** What is not seen, or turns what is seen around. The two joiners are left: some scripts and emoji need them. */
const INVISIBLE = /(?![\u200c\u200d])\p{Cf}/u;
/** Windows opens a device, whatever follows the first dot. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)/i;

/**
 * Why a file name or pattern may not be used, or undefined when it may: relative, no `..`, nothing that is not
 * seen, no back-slash, composed Unicode (NFC), and no part that is empty, too long, or no file's name on Windows.
 * The same rules as kit/safe-name.ts, which the agents and the CLI hold to.
 */
export function faultOfName(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (/[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) return 'has control characters';
  if (/\p{Surrogate}/u.test(name)) return 'is not valid Unicode';
  if (INVISIBLE.test(name)) return 'has an invisible character';
  if (name.includes('\\')) return 'has a backslash';
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) return 'is absolute';
  if (name.normalize('NFC') !== name) return 'is not in composed Unicode form (NFC)';
  if (utf8Length(name) > 1024) return 'is longer than 1024 bytes';
  for (const part of name.split('/')) {
    if (part === '' || part === '.') return 'has an empty part';
    if (part === '..') return 'leaves its directory with ..';
    if (/[. ]$/.test(part)) return 'has a part that ends with a dot or a space';
    if (DEVICE.test(part)) return `has the part ${part}, which is a device on Windows`;
    if (utf8Length(part) > 255) return 'has a part longer than 255 bytes';
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

export function utf8Length(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/** Whether `name` matches `pattern`, in which `*` stands for anything but a slash. */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = pattern.split('*');
  const first = parts[0] ?? '';
  if (parts.length === 1) return name === pattern;
  const last = parts[parts.length - 1] ?? '';
  if (name.length < first.length + last.length) return false;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let from = first.length;
  const end = name.length - last.length;
  const middles = [...parts.slice(1, -1), undefined];
  for (const middle of middles) {
    const at = middle === undefined ? end : name.indexOf(middle, from);
    if (at < from || at + (middle?.length ?? 0) > end) return false;
    if (name.slice(from, at).includes('/')) return false;
    from = at + (middle?.length ?? 0);
  }
  return true;
}

export function byName(a: File, b: File): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Single byte ranges (RFC 9110, section 14). */
import type { ByteRange } from '../ports.ts';

export type WantedRange =
  | { readonly state: 'whole' }
  | { readonly state: 'part'; readonly range: ByteRange }
  | { readonly state: 'unsatisfiable' };

const SINGLE = /^bytes=(\d*)-(\d*)$/;

/** What a `Range` header asks for. Anything but one well-formed byte range means the whole. */
export function parseRange(header: string | undefined, sizeBytes: number): WantedRange {
  const match = header === undefined ? null : SINGLE.exec(header.replaceAll(' ', ''));
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (first === '' && last === '') return { state: 'whole' };
  if (first === '') {
    const suffix = Math.min(Number(last), sizeBytes);
    if (suffix === 0) return { state: 'unsatisfiable' };
    return { state: 'part', range: { start: sizeBytes - suffix, end: sizeBytes - 1 } };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (last !== '' && Number(last) < start) return { state: 'whole' };
  if (start >= sizeBytes) return { state: 'unsatisfiable' };
  return { state: 'part', range: { start, end } };
}

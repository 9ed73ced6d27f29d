/**
 * The text of a long list of files, as furrow.v1.FileListSpace describes it: a line for each file, with its
 * SHA-256, its length in bytes and its name. It is read as it comes, and checked: whatever is wrong names its line.
 */
import { isUtf8 } from 'node:buffer';
import { FurrowError } from './furrow-error.ts';
import { unsafeName } from './safe-name.ts';
import type { BlobName } from './sha256-file.ts';

export interface ListedFile extends BlobName {
  readonly name: string;
}

/** Digest, length, and a name of at most 1024 bytes. */
const LONGEST_LINE_BYTES = 64 + 1 + 16 + 1 + 1024;
const DIGEST_CHARACTERS = 64;
const LENGTH = /^(0|[1-9][0-9]{0,15})$/;

export function lineOf({ sha256, sizeBytes, name }: ListedFile): string {
  return `${sha256} ${sizeBytes} ${name}\n`;
}

/**
 * The files of a list, in order, some at a time. Bytes may come in any parts. FurrowError: invalid LIST_INVALID;
 * what the source throws.
 */
export async function* readFileList(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly ListedFile[]> {
  let rest: Buffer = Buffer.alloc(0);
  let lineNumber = 0;
  for await (const part of source) {
    const bytes = rest.length === 0 ? viewOf(part) : Buffer.concat([rest, part]);
    const end = bytes.lastIndexOf(LINE_FEED) + 1;
    // A copy: whoever reads may fill the same bytes anew.
    rest = Buffer.from(bytes.subarray(end));
    const files: ListedFile[] = [];
    for (const line of linesOf(bytes.subarray(0, end), lineNumber)) {
      lineNumber += 1;
      files.push(parseLine(line, lineNumber));
    }
    if (files.length > 0) yield files;
    if (rest.length > LONGEST_LINE_BYTES) throw invalid(lineNumber + 1, 'is too long');
  }
  if (rest.length > 0) throw invalid(lineNumber + 1, 'has no line feed at its end');
}

/**
 * Files `from` to before `to` of a list that is known to be right. Reads no further than it must. FurrowError:
 * invalid LIST_INVALID, LIST_TOO_SHORT.
 */
export async function readSlice(
  source: AsyncIterable<Uint8Array>,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<readonly ListedFile[]> {
  const files: ListedFile[] = [];
  let position = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const part of source) {
    const bytes: Buffer = rest.length === 0 ? Buffer.from(part) : Buffer.concat([rest, part]);
    let at = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, at)) {
      if (position >= from) files.push(parseLine(bytes.toString('utf8', at, end), position + 1));
      position += 1;
      at = end + 1;
      if (position === to) return files;
    }
    rest = bytes.subarray(at);
  }
  const message = `the list of files has ${position} lines: there is no file ${to}`;
  throw new FurrowError('invalid', 'LIST_TOO_SHORT', message);
}

const LINE_FEED = 0x0a;

function parseLine(line: string, number: number): ListedFile {
  const space = line.indexOf(' ', DIGEST_CHARACTERS + 1);
  if (!hasDigest(line) || space < 0 || space + 1 === line.length) throw misshapen(number);
  const digits = line.slice(DIGEST_CHARACTERS + 1, space);
  if (!LENGTH.test(digits)) throw misshapen(number);
  const sizeBytes = Number(digits);
  if (!Number.isSafeInteger(sizeBytes)) throw invalid(number, `has a length of ${digits}`);
  const name = line.slice(space + 1);
  const fault = unsafeName(name);
  if (fault !== undefined) {
    throw invalid(number, `has the name ${JSON.stringify(name.slice(0, 200))}: ${fault}`);
  }
  return { name, sha256: line.slice(0, DIGEST_CHARACTERS), sizeBytes };
}

/** By hand: submits of tens of thousands of files wait for it, and a pattern takes several times as long. */
function hasDigest(line: string): boolean {
  for (let at = 0; at < DIGEST_CHARACTERS; at += 1) {
    const code = line.charCodeAt(at);
    const isHex = (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);
    if (!isHex) return false;
  }
  return line[DIGEST_CHARACTERS] === ' ';
}

function misshapen(number: number): FurrowError {
  return invalid(number, 'is not "SHA256 BYTES NAME"');
}

/** Whole ones, so that no letter is cut. */
function linesOf(bytes: Buffer, lineNumber: number): readonly string[] {
  if (!isUtf8(bytes)) throw invalid(lineNumber + 1, 'or one soon after is not UTF-8');
  return bytes.toString('utf8').split('\n').slice(0, -1);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function invalid(line: number, what: string): FurrowError {
  return new FurrowError('invalid', 'LIST_INVALID', `line ${line} of the list of files ${what}`);
}

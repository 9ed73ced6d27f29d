/**
 * Unreported results in one log file. What is saved while a write is under way goes together in the
 * next one, so that a thousand results cost a few flushes.
 *
 * - `save` settles when the record is on disk: every write is flushed before it returns.
 * - The file is filled with zeros beforehand: flushing bytes in place costs less than half of what
 *   flushing a file that grows does.
 * - Once all is acknowledged it is written from its start again, under the next generation; a record
 *   of an older generation, or one that is torn, ends the log. A full log is written anew, with what
 *   is still unreported.
 */
import { mkdirSync } from 'node:fs';
import { constants, open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import { Result } from '../proto/gen/furrow/work/v1/work.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { OutboxStorage } from './outbox.ts';
import { tokenKey, tokenOfKey, type TokenKey } from './token-key.ts';

const LOG = 'results.log';
const LEAST_BYTES = 1024 * 1024;
/** Removals alone are written so late: usually they ride with the next results. */
const REMOVAL_DELAY_MS = 250;

/** Length of the body, its checksum with the generation, the generation, the kind. */
const HEADER_BYTES = 13;
const SAVED = 1;
const REMOVED = 2;

/** A change that is still to be written. */
type Entry =
  | {
      readonly kind: typeof SAVED;
      readonly key: TokenKey;
      readonly body: Uint8Array;
      readonly fulfil: () => void;
      readonly reject: (error: unknown) => void;
    }
  | { readonly kind: typeof REMOVED; readonly key: TokenKey };

export class OutboxLog implements OutboxStorage {
  readonly #path: string;
  readonly #log: Logger;
  /** What was saved and not removed, encoded. */
  readonly #live = new Map<TokenKey, Uint8Array>();
  /** Those of them with a record in the file. */
  #written = new Set<TokenKey>();
  #queue: Entry[] = [];
  #writing: Promise<void> | null = null;
  #file: FileHandle | null = null;
  #sizeBytes = 0;
  #positionBytes = 0;
  #generation = 0;
  #removalTimer: NodeJS.Timeout | undefined;

  constructor(directory: string, log: Logger) {
    mkdirSync(directory, { recursive: true });
    this.#path = join(directory, LOG);
    this.#log = log;
  }

  async load(): Promise<readonly Result[]> {
    const results: Result[] = [];
    for (const [key, body] of readLog(await bytesOf(this.#path))) {
      try {
        const result = Result.decode(body);
        if (result.token === undefined || tokenKey(result.token) !== key) continue;
        this.#live.set(key, body);
        results.push(result);
      } catch (error) {
        this.#log.warn({ key, error: messageOf(error) }, 'a stored result is damaged; left out');
      }
    }
    return results;
  }

  save(result: Result): Promise<void> {
    if (result.token === undefined) throw new Error('a result must have a token');
    const key = tokenKey(result.token);
    const body = Result.encode(result).finish();
    this.#live.set(key, body);
    return new Promise((fulfil, reject) => {
      this.#queue.push({ kind: SAVED, key, body, fulfil, reject });
      this.#schedule();
    });
  }

  /** Not flushed: a result that comes back after a power cut gets the same verdict, or STALE. */
  async remove(token: Token): Promise<void> {
    const key = tokenKey(token);
    if (!this.#live.delete(key)) return;
    this.#written.delete(key);
    this.#queue.push({ kind: REMOVED, key });
    this.#removalTimer ??= setTimeout(() => this.#schedule(), REMOVAL_DELAY_MS).unref();
  }

  /** Writes what is left to write. Nothing may be saved afterwards. */
  async close(): Promise<void> {
    this.#schedule();
    await this.#writing;
    await this.#closeFile();
  }

  /** Everything that is saved in this turn of the event loop goes in one write. */
  #schedule(): void {
    clearTimeout(this.#removalTimer);
    this.#removalTimer = undefined;
    this.#writing ??= new Promise((settle) => {
      setImmediate(() => void this.#writeAll().then(settle));
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      try {
        await this.#write(group);
        for (const entry of group) if (entry.kind === SAVED) entry.fulfil();
      } catch (error) {
        // What the file holds now is not known: the next write begins a new one.
        await this.#closeFile();
        for (const entry of group) {
          if (entry.kind !== SAVED) continue;
          if (this.#live.get(entry.key) === entry.body) this.#live.delete(entry.key);
          entry.reject(error);
        }
      }
    }
    this.#writing = null;
  }

  async #write(group: readonly Entry[]): Promise<void> {
    if (this.#written.size === 0) {
      // Nothing in the file counts any more: the first record of a new generation ends what is there.
      this.#generation += 1;
      this.#positionBytes = 0;
    }
    const bytes = Buffer.concat(group.map((entry) => recordOf(this.#generation, entry)));
    if (this.#file === null || this.#positionBytes + bytes.length > this.#sizeBytes) {
      await this.#begin();
      return;
    }
    await writeFlushed(this.#file, bytes, this.#positionBytes);
    this.#positionBytes += bytes.length;
    for (const entry of group) {
      // It may have been removed meanwhile.
      if (entry.kind === SAVED && this.#live.has(entry.key)) this.#written.add(entry.key);
    }
  }

  /** A new file, with all that is unreported and room for more. */
  async #begin(): Promise<void> {
    await this.#closeFile();
    this.#generation = 1;
    const live = [...this.#live];
    const bytes = Buffer.concat(
      live.map(([key, body]) => recordOf(this.#generation, { kind: SAVED, key, body })),
    );
    const sizeBytes = Math.max(LEAST_BYTES, 2 * bytes.length);
    const draft = `${this.#path}.draft`;
    try {
      await writeFlushedFile(draft, Buffer.concat([bytes], sizeBytes));
      await rename(draft, this.#path);
      await flushDirectory(dirname(this.#path));
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
    this.#file = await open(this.#path, constants.O_RDWR | FLUSH_EACH_WRITE);
    this.#sizeBytes = sizeBytes;
    this.#positionBytes = bytes.length;
    this.#written = new Set(live.map(([key]) => key).filter((key) => this.#live.has(key)));
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }
}

/** Where the system has it, a write flushes its data by itself, in one call instead of two. */
const FLUSH_EACH_WRITE = (constants as { readonly O_DSYNC?: number }).O_DSYNC ?? 0;

async function writeFlushed(file: FileHandle, bytes: Buffer, positionBytes: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const at = positionBytes + done;
    done += (await file.write(bytes, done, bytes.length - done, at)).bytesWritten;
  }
  if (FLUSH_EACH_WRITE === 0) await file.datasync();
}

/** After the header: the key, a zero, and what the result is encoded as. */
function recordOf(
  generation: number,
  entry: Pick<Entry, 'kind' | 'key'> & { readonly body?: Uint8Array },
): Buffer {
  const name = Buffer.from(`${entry.key}\0`, 'latin1');
  const bytes = Buffer.alloc(HEADER_BYTES + name.length + (entry.body?.length ?? 0));
  name.copy(bytes, HEADER_BYTES);
  if (entry.body !== undefined) bytes.set(entry.body, HEADER_BYTES + name.length);
  bytes.writeUInt32LE(bytes.length - HEADER_BYTES, 0);
  bytes.writeUInt32LE(generation, 8);
  bytes.writeUInt8(entry.kind, 12);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** What was saved and not removed, up to the first record that is not whole or not of this generation. */
function readLog(bytes: Buffer): Map<TokenKey, Uint8Array> {
  const live = new Map<TokenKey, Uint8Array>();
  const generation = bytes.length < HEADER_BYTES ? 0 : bytes.readUInt32LE(8);
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at);
    if (end > bytes.length || bytes.readUInt32LE(at + 8) !== generation) break;
    if (bytes.readUInt32LE(at + 4) !== crc32(bytes.subarray(at + 8, end))) break;
    const body = bytes.subarray(at + HEADER_BYTES, end);
    const zero = body.indexOf(0);
    const token = zero < 0 ? null : tokenOfKey(body.toString('latin1', 0, zero));
    if (token === null) break;
    if (bytes.readUInt8(at + 12) === SAVED) live.set(tokenKey(token), body.subarray(zero + 1));
    else live.delete(tokenKey(token));
    at = end;
  }
  return live;
}

async function writeFlushedFile(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

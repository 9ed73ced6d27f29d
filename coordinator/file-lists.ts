/**
 * Long lists of files, read from the blob store where they lie: whether one is right, which of its files are not
 * stored, and which of them a unit takes. Nothing of them is in the farm; what is kept here only saves reading.
 */
import type { Readable } from 'node:stream';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { type ListedFile, readFileList } from '../kit/file-list.ts';
import type { ListFault } from './domain/commands.ts';
import { fileListOf, rangeOfUnit } from './domain/file-lists.ts';
import { faultOfPlace, type Places } from './domain/places.ts';
import { quote } from './domain/quote.ts';
import type { File, FileListSpace, StepSpec } from './domain/task.ts';
import type { BlobStore } from './ports.ts';

/** Parts of lists that are kept: agents ask for their files one by one. */
const MOST_PARTS = 256;
/** Lists of which it is known where their files stand. */
const MOST_INDEXES = 64;
/** Every so many files it is noted where they begin: a part is found without reading what is before. */
const INDEX_STRIDE = 256;
/** The store is asked about so many at once. */
const ASKED_AT_ONCE = 10_000;
const NAMES_SHOWN = 3;

export class FileLists {
  readonly #store: Pick<BlobStore, 'read' | 'findMissing'>;
  /** By list: where every `INDEX_STRIDE`th line begins, in bytes. */
  readonly #indexes = new Map<string, Promise<readonly number[]>>();
  /** By list and range: SHA-256 of the files there. */
  readonly #parts = new Map<string, Promise<ReadonlySet<string>>>();
  /** Checks take memory, so that one is made after another. */
  #checking: Promise<unknown> = Promise.resolve();

  constructor(store: Pick<BlobStore, 'read' | 'findMissing'>) {
    this.#store = store;
  }

  /**
   * Reads the lists of a job to be, and pins every blob that they name. `missingBlobs`: lists among them are
   * missed already. Answers the first fault. Rejects as the store does.
   */
  async faultOf(
    steps: readonly StepSpec[],
    missingBlobs: readonly string[],
  ): Promise<ListFault | undefined> {
    for (const step of steps) {
      const space = fileListOf(step);
      const { list } = space ?? {};
      if (space === undefined || list === undefined || missingBlobs.includes(list.sha256)) continue;
      const check = this.#checking.then(() => this.#check(step, space, list));
      this.#checking = check.catch(() => undefined);
      const fault = await check;
      if (fault !== undefined) return { ...fault, message: `step ${step.name}: ${fault.message}` };
    }
    return undefined;
  }

  /** SHA-256 of all files that these lists name, some at a time. Rejects as the store does, or LIST_INVALID. */
  async *hashesIn(lists: readonly Pick<File, 'sha256'>[]): AsyncGenerator<readonly string[]> {
    for (const { sha256 } of lists) {
      for await (const files of readFileList(await this.#read(sha256))) {
        yield files.map((file) => file.sha256);
      }
    }
  }

  /** Of what these lists name: what is not stored. The rest is pinned. Rejects as `hashesIn`. */
  async missingIn(lists: readonly Pick<File, 'sha256'>[]): Promise<string[]> {
    const missing: string[] = [];
    for await (const hashes of this.hashesIn(lists)) {
      missing.push(...(await this.#store.findMissing(hashes)));
    }
    return missing;
  }

  /** SHA-256 of the files that a unit takes of its step's list. Rejects as `hashesIn`. */
  partOf(
    list: Pick<File, 'sha256'>,
    space: FileListSpace,
    unit: number,
  ): Promise<ReadonlySet<string>> {
    const { from, to } = rangeOfUnit(space, unit);
    return kept(this.#parts, `${list.sha256} ${from} ${to}`, MOST_PARTS, () =>
      this.#readPart(list.sha256, from, to),
    );
  }

  async #check(step: StepSpec, space: FileListSpace, list: File): Promise<ListFault | undefined> {
    const check = new ListCheck(step, space);
    const index: number[] = [];
    let asked: ListedFile[] = [];
    const missing: ListedFile[] = [];
    const ask = async (): Promise<void> => {
      const gone = new Set(await this.#store.findMissing(asked.map(({ sha256 }) => sha256)));
      if (gone.size > 0) missing.push(...asked.filter(({ sha256 }) => gone.has(sha256)));
      asked = [];
    };
    try {
      for await (const files of readFileList(indexed(await this.#read(list.sha256), index))) {
        const fault = check.take(files);
        if (fault !== undefined) return { reason: 'INVALID_JOB', message: fault };
        asked.push(...files);
        if (asked.length >= ASKED_AT_ONCE) await ask();
      }
    } catch (error) {
      if (!(error instanceof FurrowError) || error.reason !== 'LIST_INVALID') throw error;
      return { reason: 'INVALID_JOB', message: messageOf(error) };
    }
    const fault = check.end();
    if (fault !== undefined) return { reason: 'INVALID_JOB', message: fault };
    await ask();
    if (missing.length > 0)
      return { reason: 'BLOB_MISSING', message: missingMessage(missing, space) };
    keep(this.#indexes, list.sha256, Promise.resolve(index), MOST_INDEXES);
    return undefined;
  }

  async #readPart(sha256: string, from: number, to: number): Promise<ReadonlySet<string>> {
    const index = await kept(this.#indexes, sha256, MOST_INDEXES, () => this.#index(sha256));
    const first = Math.floor(from / INDEX_STRIDE);
    const start = index[first] ?? 0;
    const end = (index[Math.ceil(to / INDEX_STRIDE)] ?? Infinity) - 1;
    const files: ListedFile[] = [];
    for await (const some of readFileList(await this.#read(sha256, { start, end })))
      files.push(...some);
    const skipped = first * INDEX_STRIDE;
    return new Set(files.slice(from - skipped, to - skipped).map((file) => file.sha256));
  }

  async #index(sha256: string): Promise<readonly number[]> {
    const index: number[] = [];
    for await (const _ of indexed(await this.#read(sha256), index));
    return index;
  }

  async #read(
    sha256: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<AsyncIterable<Buffer>> {
    return (await this.#store.read(sha256, range)) satisfies Readable as AsyncIterable<Buffer>;
  }
}

/** Whether a list is what its step says of it. */
class ListCheck {
  readonly #space: FileListSpace;
  readonly #common: readonly string[];
  readonly #names = new Set<string>();
  #places: Places = new Map();
  #count = 0;
  #bytes = 0;

  constructor({ inputs }: StepSpec, space: FileListSpace) {
    this.#space = space;
    this.#common = inputs.flatMap(({ kind }) => (kind?.$case === 'file' ? [kind.value.name] : []));
  }

  /** The next files. Answers what is wrong. */
  take(files: readonly ListedFile[]): string | undefined {
    for (const { name, sizeBytes } of files) {
      if (this.#count % this.#space.perUnit === 0) this.#places = this.#commonPlaces();
      this.#count += 1;
      this.#bytes += sizeBytes;
      // Said of the whole list, so that what is made of it can name each file.
      if (this.#names.has(name)) {
        return `its list of files names ${quote(name)} twice: each must have a name of its own`;
      }
      this.#names.add(name);
      const fault = faultOfPlace(name, this.#places);
      if (fault !== undefined) return `a unit of it ${fault}`;
    }
    if (this.#count <= this.#space.count) return undefined;
    return `its list of files is longer than the ${this.#space.count} that the job says`;
  }

  end(): string | undefined {
    const { count, filesBytes } = this.#space;
    if (this.#count !== count) {
      return `its list of files has ${this.#count} lines, and ${count} in the job`;
    }
    if (this.#bytes === filesBytes) return undefined;
    return `the files of its list have ${this.#bytes} bytes together, and ${filesBytes} in the job`;
  }

  #commonPlaces(): Places {
    const places: Places = new Map();
    for (const name of this.#common) faultOfPlace(name, places);
    return places;
  }
}

function missingMessage(missing: readonly ListedFile[], { count }: FileListSpace): string {
  const names = missing.slice(0, NAMES_SHOWN).map(({ name }) => quote(name));
  const more = missing.length > NAMES_SHOWN ? ' …' : '';
  return `${missing.length} of the ${count} files of its list are not stored: ${names.join(', ')}${more}: upload them, then submit again`;
}

/** Passes the bytes on, and notes where lines begin. */
async function* indexed(source: AsyncIterable<Buffer>, index: number[]): AsyncGenerator<Buffer> {
  let line = 0;
  let offset = 0;
  index.push(0);
  for await (const bytes of source) {
    for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) {
      line += 1;
      if (line % INDEX_STRIDE === 0) index.push(offset + at + 1);
    }
    offset += bytes.length;
    yield bytes;
  }
}

const LINE_FEED = 0x0a;

/** What is known, or is made now; what could not be made is not kept. */
function kept<T>(
  known: Map<string, Promise<T>>,
  key: string,
  most: number,
  make: () => Promise<T>,
): Promise<T> {
  const found = known.get(key) ?? make();
  keep(known, key, found, most);
  found.catch(() => {
    if (known.get(key) === found) known.delete(key);
  });
  return found;
}

/** Used last, kept longest. */
function keep<T>(known: Map<string, T>, key: string, value: T, most: number): void {
  known.delete(key);
  known.set(key, value);
  for (const oldest of known.keys()) {
    if (known.size <= most) return;
    known.delete(oldest);
  }
}

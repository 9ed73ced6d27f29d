/**
 * Watches a unit's checkpoint directory while it runs, and saves it now and then: when it has changed and been
 * quiet for a moment, changed files only. A file that changes while it is saved spoils that attempt; the next
 * look tries again. Names that end in `.tmp` are not looked at, so that a program can write aside and rename.
 */
import { lstat, readdir, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { Verdict, type CheckpointReply } from '../proto/gen/furrow/work/v1/work.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { nameKey, unsafeName } from '../kit/safe-name.ts';
import { readInside } from './open-inside.ts';

/** What the coordinator makes of a checkpoint. */
export type CheckpointVerdict =
  | { readonly state: 'saved' }
  /** The attempt is not wanted any more. */
  | { readonly state: 'stale' }
  /** Store these again, by SHA-256; empty when no answer came. */
  | { readonly state: 'again'; readonly missing: boolean }
  /** One line. */
  | { readonly state: 'refused'; readonly why: string };

export interface CheckpointSaverOptions {
  /** The directory, which exists, and in which nobody writes yet. */
  readonly directory: string;
  /** Stores a file's bytes. Rejects while the store is away. */
  readonly store: (
    path: string,
    signal: AbortSignal,
  ) => Promise<{ sha256: string; sizeBytes: number }>;
  readonly offer: (files: readonly File[]) => Promise<CheckpointVerdict>;
  /** A line for the unit's log. */
  readonly tell: (line: string) => void;
  readonly log: Logger;
}

const LOOK_MS = 1_000;
const QUIET_MS = 2_000;
/** After no answer, or that it cannot be taken now. */
const AGAIN_MS = 2_000;
/** Each save is a fact in the journal. */
const LEAST_PAUSE_MS = 30_000;
/** What is left of an eviction's time, less what else must be done in it. */
const LAST_SAVE_LIMIT_MS = 10_000;
const UNFINISHED = /\.tmp$/;

/** A file as it was found: the same means the same content. */
interface FoundFile {
  readonly name: string;
  /** Changes whenever its content does. */
  readonly version: string;
}

export class CheckpointSaver {
  readonly #options: CheckpointSaverOptions;
  readonly #stop = new AbortController();
  /** By version: what was stored. */
  readonly #stored = new Map<string, File>();
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> | null = null;
  #seen = '';
  #seenAtMs = 0;
  #nextSaveMs = -Infinity;
  /** What needs no saving: the saved one, or what the attempt began with. */
  #done: string;
  #isStale = false;

  private constructor(options: CheckpointSaverOptions, done: string) {
    this.#options = options;
    this.#done = done;
  }

  /** What is in the directory now is the checkpoint that is known already. */
  static async start(options: CheckpointSaverOptions): Promise<CheckpointSaver> {
    // The program may put a link in its place.
    const directory = await realpath(options.directory);
    const files = (await filesIn(directory)) ?? [];
    const saver = new CheckpointSaver({ ...options, directory }, stateOf(files));
    saver.#timer = setInterval(() => saver.#lookUnlessBusy(), LOOK_MS);
    return saver;
  }

  /** No more looks; what is being saved is given up. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#busy;
  }

  /** Nobody writes any more: saves what is there, if it can be done soon. Never rejects. */
  async saveLast(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy;
    const files = await filesIn(this.#options.directory);
    if (files === null || this.#isStale || stateOf(files) === this.#done) return;
    const limit = setTimeout(() => this.#stop.abort(), LAST_SAVE_LIMIT_MS);
    await this.#save(files);
    clearTimeout(limit);
  }

  #lookUnlessBusy(): void {
    if (this.#busy !== null || this.#isStale) return;
    this.#busy = this.#look().finally(() => {
      this.#busy = null;
    });
  }

  async #look(): Promise<void> {
    const files = await filesIn(this.#options.directory);
    if (files === null) return;
    const nowMs = performance.now();
    const state = stateOf(files);
    if (state !== this.#seen) {
      this.#seen = state;
      this.#seenAtMs = nowMs;
      return;
    }
    const isDue = nowMs >= this.#nextSaveMs;
    if (!isDue || state === this.#done || nowMs - this.#seenAtMs < QUIET_MS) return;
    await this.#save(files);
  }

  async #save(found: readonly FoundFile[]): Promise<void> {
    const { directory, offer, tell, log } = this.#options;
    const fault = faultOfNames(found);
    if (fault !== undefined) {
      this.#done = stateOf(found);
      tell(`furrow: the checkpoint is not saved: ${fault}`);
      return;
    }
    try {
      const files: File[] = [];
      for (const file of found) files.push(await this.#storeOne(file));
      const state = stateOf(found);
      if (stateOf((await filesIn(directory)) ?? []) !== state) return;
      const verdict = await offer(files);
      switch (verdict.state) {
        case 'saved':
          this.#nextSaveMs = performance.now() + LEAST_PAUSE_MS;
          this.#done = state;
          this.#forgetAllBut(found);
          return;
        case 'stale':
          this.#isStale = true;
          return;
        case 'again':
          this.#nextSaveMs = performance.now() + AGAIN_MS;
          if (verdict.missing) this.#stored.clear();
          return;
        case 'refused':
          this.#done = state;
          tell(`furrow: the checkpoint is not saved: ${verdict.why}`);
      }
    } catch (error) {
      // Tried again at the next look: the store is away, or a file went while it was read.
      log.debug({ error: messageOf(error) }, 'checkpoint not saved');
    }
  }

  async #storeOne({ name, version }: FoundFile): Promise<File> {
    const known = this.#stored.get(version);
    if (known !== undefined) return known;
    const { directory, store } = this.#options;
    const { signal } = this.#stop;
    const blob = await readInside(directory, name, async (path) => store(path, signal));
    const file = { name, ...blob };
    this.#stored.set(version, file);
    return file;
  }

  #forgetAllBut(found: readonly FoundFile[]): void {
    const kept = new Set(found.map(({ version }) => version));
    for (const version of this.#stored.keys()) if (!kept.has(version)) this.#stored.delete(version);
  }
}

/** The files in a checkpoint directory that belong to the checkpoint; null while it cannot be read. */
async function filesIn(directory: string): Promise<readonly FoundFile[] | null> {
  // The program may delete it, or a folder in it, while we look.
  const options = { recursive: true, withFileTypes: true } as const;
  const isFolder = await lstat(directory).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  const entries = isFolder ? await readdir(directory, options).catch(() => null) : null;
  if (entries === null) return null;
  const found = await Promise.all(
    entries
      .filter((entry) => entry.isFile() && !UNFINISHED.test(entry.name))
      .map((entry) => foundFile(directory, join(entry.parentPath, entry.name))),
  );
  return found.flat().toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Empty when it went meanwhile. */
async function foundFile(directory: string, path: string): Promise<FoundFile[]> {
  const stats = await lstat(path, { bigint: true }).catch(() => null);
  if (stats === null || !stats.isFile()) return [];
  const name = relative(directory, path).split(sep).join('/');
  const { size, mtimeNs, ino } = stats;
  return [{ name, version: `${name} ${size} ${mtimeNs} ${ino}` }];
}

/** The first name that another machine could not take, in one line. */
function faultOfNames(files: readonly FoundFile[]): string | undefined {
  const keys = new Set<string>();
  for (const { name } of files) {
    const why = unsafeName(name);
    if (why !== undefined) return `${JSON.stringify(name)} is a bad name: ${why}`;
    if (keys.has(nameKey(name))) return `some disks take ${JSON.stringify(name)} for another file`;
    keys.add(nameKey(name));
  }
  return undefined;
}

function stateOf(files: readonly FoundFile[]): string {
  return files.map(({ version }) => version).join('\n');
}

/** Whatever a coordinator answers; a word that is not known is none. */
export function checkpointVerdict({ verdict, fault }: CheckpointReply): CheckpointVerdict {
  switch (verdict) {
    case Verdict.VERDICT_ACCEPTED:
      return { state: 'saved' };
    case Verdict.VERDICT_STALE:
      return { state: 'stale' };
    case Verdict.VERDICT_NOTED:
      return { state: 'refused', why: fault };
    default:
      return { state: 'again', missing: verdict === Verdict.VERDICT_BLOB_MISSING };
  }
}

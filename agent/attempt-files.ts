/** The directories of attempts: one each, named for people, found by token. */
import { mkdirSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

export class AttemptFiles {
  readonly #root: string;
  readonly #names = new Map<TokenKey, string>();

  constructor(root: string) {
    this.#root = root;
    mkdirSync(root, { recursive: true });
    for (const name of readdirSync(root)) {
      this.#names.set(name.slice(name.lastIndexOf('-') + 1) as TokenKey, name);
    }
  }

  /** Makes the attempt's directory, empty. */
  async create(assignment: Assignment): Promise<string> {
    const { jobId, step, unit, attempt, token } = assignment;
    const key = tokenKey(token);
    const name = `${jobId}-${step}-${unit}-${attempt}-${key}`;
    // A coordinator that sends a name with a slash in it must not choose what is deleted here.
    if (!/^[\w.-]+$/.test(name)) throw new Error(`${name} cannot name a directory`);
    this.#names.set(key, name);
    const directory = join(this.#root, name);
    try {
      await mkdir(directory);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory);
    }
    return directory;
  }

  /** Null when there is none. */
  find(token: Token): string | null {
    const name = this.#names.get(tokenKey(token));
    return name === undefined ? null : join(this.#root, name);
  }

  async remove(token: Token): Promise<void> {
    const directory = this.find(token);
    if (directory === null) return;
    await rm(directory, { recursive: true, force: true, maxRetries: 2 });
    this.#names.delete(tokenKey(token));
  }

  /** Deletes all directories but those of the given tokens. */
  async sweep(keep: readonly Token[]): Promise<void> {
    const kept = new Set(keep.map(tokenKey));
    for (const [key, name] of this.#names) {
      if (kept.has(key)) continue;
      await rm(join(this.#root, name), { recursive: true, force: true, maxRetries: 2 });
      this.#names.delete(key);
    }
  }
}

/**
 * Unreported results as files, one each, named by token. A file is whole or not there: written aside,
 * flushed, renamed, and the directory flushed.
 */
import { mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import { Result } from '../proto/gen/furrow/work/v1/work.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { OutboxStorage } from './outbox.ts';
import { tokenKey, tokenOfKey } from './token-key.ts';

const DRAFT = '.draft';

export class OutboxFiles implements OutboxStorage {
  readonly #directory: string;
  readonly #log: Logger;

  constructor(directory: string, log: Logger) {
    this.#directory = directory;
    this.#log = log;
    mkdirSync(directory, { recursive: true });
  }

  async load(): Promise<readonly Result[]> {
    const results: Result[] = [];
    for (const name of (await readdir(this.#directory)).toSorted()) {
      const path = join(this.#directory, name);
      const token = tokenOfKey(name);
      const result = token === null ? null : await this.#read(path, token);
      if (result === null) await rm(path, { force: true });
      else results.push(result);
    }
    return results;
  }

  async #read(path: string, token: Token): Promise<Result | null> {
    try {
      const result = Result.decode(await readFile(path));
      if (result.token !== undefined && tokenKey(result.token) === tokenKey(token)) return result;
      this.#log.warn({ path }, 'a stored result is not the one its name says; deleted');
    } catch (error) {
      this.#log.warn({ path, error: messageOf(error) }, 'a stored result is damaged; deleted');
    }
    return null;
  }

  async save(result: Result): Promise<void> {
    if (result.token === undefined) throw new Error('a result must have a token');
    const path = join(this.#directory, tokenKey(result.token));
    const draft = `${path}${DRAFT}`;
    try {
      await writeFlushed(draft, Result.encode(result).finish());
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
    await flushDirectory(this.#directory);
  }

  async remove(token: Token): Promise<void> {
    // Not flushed: a result that comes back after a power cut gets the same verdict, or STALE.
    await rm(join(this.#directory, tokenKey(token)), { force: true });
  }
}

async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
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

/** The farm's token file: one line, readable by its owner only. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FurrowError, messageOf } from './furrow-error.ts';

const TOKEN = /^[A-Za-z0-9_-]{43}$/;

/**
 * The token in the file. FurrowError: not-found TOKEN_MISSING; invalid TOKEN_MALFORMED; forbidden
 * TOKEN_EXPOSED when others on this machine can read it.
 */
export async function readToken(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'ENOENT'
      ? new FurrowError('not-found', 'TOKEN_MISSING', `no token at ${path}: start the farm first`)
      : new FurrowError('forbidden', 'TOKEN_UNREADABLE', messageOf(error), { cause: error });
  });
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    const remedy = `others can read the token at ${path}: run chmod 600 ${path}`;
    throw new FurrowError('forbidden', 'TOKEN_EXPOSED', remedy);
  }
  const token = text.trim();
  if (!TOKEN.test(token)) {
    throw new FurrowError('invalid', 'TOKEN_MALFORMED', `${path} does not hold a farm token`);
  }
  return token;
}

/**
 * The token in the file, made at the first start. Two processes that start together agree: a link
 * never replaces a file, and the loser reads what the winner wrote.
 */
export async function ensureToken(path: string): Promise<string> {
  try {
    return await readToken(path);
  } catch (error) {
    if (!(error instanceof FurrowError && error.code === 'not-found')) throw error;
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(`${randomBytes(32).toString('base64url')}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return readToken(path);
}

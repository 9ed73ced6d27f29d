import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensureToken, readToken } from '../../../kit/token-file.ts';
import { temporaryFolder } from '../../support/blobs.ts';

describe('token file', () => {
  it('is made once, for its owner only, also by processes that start together', async () => {
    const path = join(await temporaryFolder(), 'home', 'token');
    const tokens = await Promise.all(Array.from({ length: 8 }, () => ensureToken(path)));
    expect(new Set(tokens).size).toBe(1);
    expect(tokens[0]).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readToken(path)).toBe(tokens[0]);
  });

  it('is refused when others can read it', async () => {
    const path = join(await temporaryFolder(), 'token');
    await ensureToken(path);
    await chmod(path, 0o644);
    await expect(readToken(path)).rejects.toMatchObject({ reason: 'TOKEN_EXPOSED' });
  });

  it('is refused when it is missing or holds something else', async () => {
    const path = join(await temporaryFolder(), 'token');
    await expect(readToken(path)).rejects.toMatchObject({ reason: 'TOKEN_MISSING' });
    await writeFile(path, 'hello\n', { mode: 0o600 });
    await expect(ensureToken(path)).rejects.toMatchObject({ reason: 'TOKEN_MALFORMED' });
  });
});

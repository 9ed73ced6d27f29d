import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openBlobCache, type BlobCache } from '../../../../agent/blobs/blob-cache.ts';
import {
  content,
  expectSame,
  silentLog,
  temporaryFolder,
  type Content,
} from '../../../support/blobs.ts';

interface Bench {
  readonly folder: string;
  readonly fetched: string[];
  readonly cache: BlobCache;
  readonly open: () => Promise<BlobCache>;
  /** A new, empty directory of an attempt. */
  readonly attempt: (name: string) => Promise<string>;
  readonly cachedPath: (of: Content) => string;
}

const SIZE = 1000;

/** A cache with room for two blobs of SIZE. */
async function bench(
  farm: readonly Content[],
  room: () => Promise<number> = () => Promise.resolve(Infinity),
): Promise<Bench> {
  const folder = await temporaryFolder();
  const fetched: string[] = [];
  const open = () =>
    openBlobCache({
      directory: join(folder, 'cache'),
      maxBytes: 2 * SIZE,
      log: silentLog,
      fetch: async ({ sha256 }, path, signal) => {
        signal.throwIfAborted();
        fetched.push(sha256);
        const bytes = farm.find(({ blob }) => blob.sha256 === sha256)?.bytes ?? Buffer.alloc(0);
        const roomBytes = await room();
        await writeFile(path, bytes.subarray(0, roomBytes));
        if (bytes.length > roomBytes) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      },
    });
  return {
    folder,
    fetched,
    open,
    cache: await open(),
    attempt: async (name) => {
      const directory = join(folder, name);
      await mkdir(directory);
      return directory;
    },
    cachedPath: ({ blob }) =>
      join(folder, 'cache', 'files', blob.sha256.slice(0, 2), blob.sha256.slice(2)),
  };
}

const live = () => new AbortController().signal;
const file = ({ blob }: Content, name = 'in.mkv') => ({ ...blob, name });

/** Some file systems have reflinks, and then no unit can reach the cache's bytes. */
async function sharesBytes(folder: string): Promise<boolean> {
  const [from, to] = [join(folder, 'probe'), join(folder, 'probe2')];
  await writeFile(from, 'x');
  return copyFile(from, to, constants.COPYFILE_FICLONE_FORCE).then(
    () => false,
    () => true,
  );
}

describe('blob cache', () => {
  it('places a blob read-only under its name, and fetches it once', async () => {
    const film = content(SIZE);
    const { cache, fetched, attempt } = await bench([film]);
    const [one, two] = [await attempt('one'), await attempt('two')];
    await Promise.all([
      cache.place(file(film, 'sub/a.mkv'), one, live()),
      cache.place(file(film, 'b.mkv'), two, live()),
    ]);
    await cache.place(file(film, 'c.mkv'), two, live());
    expectSame(await readFile(join(one, 'sub/a.mkv')), film.bytes);
    expect((await stat(join(two, 'c.mkv'))).mode & 0o222).toBe(0);
    expect(fetched).toHaveLength(1);
  });

  it('evicts the least recently used, but nothing that an attempt still has', async () => {
    const [a, b, c, d] = [content(SIZE), content(SIZE), content(SIZE), content(SIZE)];
    const { cache, attempt, folder } = await bench([a, b, c, d]);
    const linked = await sharesBytes(folder);
    const held = await attempt('held');
    await cache.place(file(a), held, live());
    for (const [name, blob] of [
      ['x', b],
      ['y', c],
      ['z', d],
    ] as const) {
      const directory = await attempt(name);
      await cache.place(file(blob), directory, live());
      await rm(directory, { recursive: true });
    }
    expect(cache.has(a.blob.sha256)).toBe(linked);
    expect([b, c].map(({ blob }) => cache.has(blob.sha256))).toEqual([false, !linked]);
    expectSame(await readFile(join(held, 'in.mkv')), a.bytes);
    await rm(held, { recursive: true });
    await cache.evict();
    expect(cache.bytes).toBeLessThanOrEqual(2 * SIZE);
    expect(cache.has(d.blob.sha256)).toBe(true);
  });

  it('knows its blobs and their order after a restart, and drops the damaged', async () => {
    const [good, bad] = [content(SIZE), content(SIZE)];
    const { cache, open, fetched, attempt, cachedPath } = await bench([good, bad]);
    await cache.place(file(good), await attempt('one'), live());
    await cache.place(file(bad), await attempt('two'), live());
    await chmod(cachedPath(bad), 0o644);
    await writeFile(cachedPath(bad), Buffer.alloc(SIZE));
    const again = await open();
    expect(again.bytes).toBe(2 * SIZE);
    await again.place(file(good), await attempt('three'), live());
    expect(fetched).toHaveLength(2);
    const four = await attempt('four');
    await again.place(file(bad), four, live());
    expect(fetched).toHaveLength(3);
    expectSame(await readFile(join(four, 'in.mkv')), bad.bytes);
  });

  it('never hands on bytes that a unit wrote over, and names the input', async () => {
    const film = content(SIZE);
    const { cache, attempt, folder, cachedPath } = await bench([film]);
    const one = await attempt('one');
    await cache.place(file(film), one, live());
    expect(await cache.altered([file(film)])).toEqual([]);
    await chmod(join(one, 'in.mkv'), 0o644);
    await writeFile(join(one, 'in.mkv'), Buffer.alloc(SIZE));
    const two = await attempt('two');
    await cache.place(file(film), two, live());
    expectSame(await readFile(join(two, 'in.mkv')), film.bytes);
    if (!(await sharesBytes(folder))) return;
    await chmod(cachedPath(film), 0o644);
    await writeFile(join(two, 'in.mkv'), Buffer.alloc(SIZE));
    expect(await cache.altered([file(film)])).toEqual(['in.mkv']);
    expect(cache.has(film.blob.sha256)).toBe(false);
  });

  it('serves an output made here without fetching it, once its digest is proven', async () => {
    const made = content(SIZE);
    const { cache, fetched, attempt } = await bench([made]);
    const one = await attempt('one');
    const path = join(one, 'piece.mkv');
    await writeFile(path, made.bytes);
    await cache.add(path, made.blob);
    await cache.place(file(made), await attempt('two'), live());
    expect(fetched).toEqual([]);
    const lie = content(SIZE);
    await writeFile(join(one, 'lie'), Buffer.alloc(SIZE));
    await cache.add(join(one, 'lie'), lie.blob);
    await expect(cache.place(file(lie), await attempt('three'), live())).resolves.toBeUndefined();
    expect(fetched).toEqual([lie.blob.sha256]);
  });

  it('makes room on a full disk with what nobody uses', async () => {
    const [first, second] = [content(SIZE), content(SIZE)];
    const { cache, attempt, folder } = await bench([first, second], async () =>
      // The disk holds one blob, and everything else is as large as that one.
      cache.has(first.blob.sha256) ? SIZE / 2 : SIZE,
    );
    const one = await attempt('one');
    await cache.place(file(first), one, live());
    await rm(one, { recursive: true });
    const two = await attempt('two');
    await cache.place(file(second), two, live());
    expectSame(await readFile(join(two, 'in.mkv')), second.bytes);
    expect(await readdir(join(folder, 'cache', 'incoming'))).toEqual([]);
  });

  it('leaves nothing of what did not fit even then', async () => {
    const large = content(SIZE);
    const { cache, attempt, folder } = await bench([large], () => Promise.resolve(SIZE / 2));
    const placed = cache.place(file(large), await attempt('one'), live());
    await expect(placed).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(await readdir(join(folder, 'cache', 'incoming'))).toEqual([]);
  });

  it('goes on with a begun download after a restart, but not for ever', async () => {
    const { open, folder } = await bench([]);
    const incoming = join(folder, 'cache', 'incoming');
    for (const name of ['today', 'last-week']) await writeFile(join(incoming, name), 'half');
    const lastWeek = Date.now() / 1000 - 7 * 24 * 3600;
    await utimes(join(incoming, 'last-week'), lastWeek, lastWeek);
    await open();
    expect(await readdir(incoming)).toEqual(['today']);
  });

  it('refuses names that leave the directory, and names that are taken', async () => {
    const film = content(SIZE);
    const { cache, attempt } = await bench([film]);
    const one = await attempt('one');
    await expect(cache.place(file(film, '../x'), one, live())).rejects.toMatchObject({
      reason: 'UNSAFE_NAME',
    });
    await cache.place(file(film), one, live());
    await expect(cache.place(file(film), one, live())).rejects.toMatchObject({
      reason: 'NAME_TAKEN',
    });
  });
});

import { existsSync } from 'node:fs';
import { readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../../../kit/clock.ts';
import type { DiskStore } from '../../../../coordinator/blobs/disk-store.ts';
import {
  content,
  contentFile,
  expectSame,
  fileMethods,
  lostBytes,
  openStore,
  temporaryFolder,
  type Content,
} from '../../../support/blobs.ts';

// Every blob is fsynced, and on a busy disk each fsync waits for everybody's bytes.
vi.setConfig({ testTimeout: 60_000 });

const HOUR_MS = 3600 * 1000;

function handClock(): Clock & { advance(ms: number): void } {
  let nowMs = 5000;
  return {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs,
    after: () => () => undefined,
    advance: (ms) => void (nowMs += ms),
  };
}

const put = (store: DiskStore, { bytes, blob }: Content, purpose: 'client' | 'result' = 'client') =>
  store.receive(blob, Readable.from([bytes], { objectMode: false }), purpose);
const get = async (store: DiskStore, { blob }: Content) => buffer(await store.read(blob.sha256));
const fileOf = (folder: string, { blob }: Content) =>
  join(folder, 'blobs', blob.sha256.slice(0, 2), blob.sha256.slice(2));
const nobody = () => false;

describe('disk store', () => {
  it('keeps what it acknowledged over a restart, and nothing half-written', async () => {
    const folder = await temporaryFolder();
    const [big, empty] = [content(3_000_000), content(0)];
    const store = await openStore(folder);
    await put(store, big);
    await put(store, empty);
    await writeFile(join(folder, 'incoming', 'crashed'), 'half');
    const again = await openStore(folder);
    expectSame(await get(again, big), big.bytes);
    expectSame(await get(again, empty), empty.bytes);
    expect(await again.sizeOf(big.blob.sha256)).toBe(3_000_000);
    expect(await readdir(join(folder, 'incoming'))).toEqual([]);
  });

  it('refuses wrong bytes, too few and too many, and leaves nothing', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder);
    const { bytes, blob } = content(1000);
    const wrong = { bytes: Buffer.alloc(1000), blob };
    await expect(put(store, wrong)).rejects.toMatchObject({ reason: 'DIGEST_MISMATCH' });
    const short = { bytes: bytes.subarray(1), blob };
    await expect(put(store, short)).rejects.toMatchObject({ reason: 'SIZE_MISMATCH' });
    const long = { bytes: Buffer.concat([bytes, bytes]), blob };
    await expect(put(store, long)).rejects.toMatchObject({ reason: 'SIZE_MISMATCH' });
    expect(await store.sizeOf(blob.sha256)).toBeUndefined();
    expect(await readdir(join(folder, 'incoming'))).toEqual([]);
  });

  it('takes the same blob from several at once', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder);
    const same = content(500_000);
    await Promise.all(Array.from({ length: 5 }, () => put(store, same)));
    expectSame(await get(store, same), same.bytes);
    expect(await readdir(join(folder, 'incoming'))).toEqual([]);
  });

  it('tells of a truncated blob, takes it for missing, and an upload mends it', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder);
    const film = content(10_000);
    await put(store, film);
    await truncate(fileOf(folder, film), 9_999);
    await expect(store.read(film.blob.sha256)).rejects.toMatchObject({ code: 'data-loss' });
    expect(await store.findMissing([film.blob.sha256])).toEqual([film.blob.sha256]);
    await put(store, film);
    expectSame(await get(store, film), film.bytes);
    expect(await readdir(join(folder, 'quarantine'))).toHaveLength(1);
  });

  it('deletes an upload that the disk failed to keep: a second fsync would not tell', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder);
    const { path, blob } = await contentFile(folder, 10_000);
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValueOnce(lostBytes());
    await expect(store.adopt(path, blob, 'client')).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'UPLOAD_LOST',
    });
    expect(await store.sizeOf(blob.sha256)).toBeUndefined();
    expect(existsSync(path)).toBe(false);
  });

  it('finds flipped bytes when asked to verify', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder);
    const film = content(10_000);
    await put(store, film);
    await store.verify(film.blob.sha256);
    await writeFile(fileOf(folder, film), Buffer.alloc(10_000));
    await expect(store.verify(film.blob.sha256)).rejects.toMatchObject({ reason: 'BLOB_DAMAGED' });
    expect(await store.sizeOf(film.blob.sha256)).toBeUndefined();
  });

  it('sweeps only what is unreferenced, unpinned and older than an hour', async () => {
    const clock = handClock();
    const store = await openStore(await temporaryFolder(), { clock });
    const [used, asked, unused] = [content(1), content(2), content(3)];
    for (const blob of [used, asked, unused]) await put(store, blob);
    const referenced = (sha256: string) => sha256 === used.blob.sha256;
    clock.advance(HOUR_MS - 1);
    expect(await store.sweep(referenced)).toBe(0);
    expect(await store.findMissing([asked.blob.sha256])).toEqual([]);
    clock.advance(1);
    expect(await store.sweep(referenced)).toBe(1);
    const names = [used, asked, unused].map(({ blob }) => blob.sha256);
    expect(await store.lookForMissing(names)).toEqual([unused.blob.sha256]);
    clock.advance(HOUR_MS);
    expect(await store.sweep(referenced)).toBe(1);
    expect(await store.sizeOf(used.blob.sha256)).toBeDefined();
  });

  it('sweeps nothing in the hour after a restart, which forgot the pins', async () => {
    const clock = handClock();
    const folder = await temporaryFolder();
    await put(await openStore(folder, { clock }), content(10));
    clock.advance(10 * HOUR_MS);
    const again = await openStore(folder, { clock });
    clock.advance(HOUR_MS - 1);
    expect(await again.sweep(nobody)).toBe(0);
    clock.advance(1);
    expect(await again.sweep(nobody)).toBe(1);
  });

  it('releases a used-up result at once, but not what is referenced or was asked for', async () => {
    const store = await openStore(await temporaryFolder());
    const [done, shared, asked, clients] = [content(1), content(2), content(3), content(4)];
    for (const blob of [done, shared, asked]) await put(store, blob, 'result');
    await put(store, clients);
    await store.findMissing([asked.blob.sha256]);
    const all = [done, shared, asked, clients].map(({ blob }) => blob.sha256);
    const referenced = (sha256: string) => sha256 === shared.blob.sha256;
    expect(await store.release(all, referenced)).toBe(1);
    expect(await store.lookForMissing(all)).toEqual([done.blob.sha256]);
  });

  it('refuses clients on a full disk, and results only when the reserve is used up', async () => {
    let freeBytes = 1500;
    const clock = handClock();
    const store = await openStore(await temporaryFolder(), {
      clock,
      minFreeBytes: 1000,
      measureSpace: () => Promise.resolve({ freeBytes, totalBytes: 10_000 }),
    });
    await put(store, content(400));
    await expect(put(store, content(600))).rejects.toMatchObject({
      code: 'exhausted',
      message: expect.stringMatching(/1500 bytes free.*needs 600/) as string,
    });
    await put(store, content(600), 'result');
    freeBytes = 249;
    clock.advance(1000);
    await expect(put(store, content(1), 'result')).rejects.toMatchObject({ reason: 'DISK_FULL' });
    expect(await store.space.low()).toBe(true);
  });

  it('admits no more uploads at once than there is room for together', async () => {
    const { space } = await openStore(await temporaryFolder(), {
      minFreeBytes: 1000,
      measureSpace: () => Promise.resolve({ freeBytes: 2000, totalBytes: 10_000 }),
    });
    const first = await space.admit(600, 'client');
    await expect(space.admit(600, 'client')).rejects.toMatchObject({ reason: 'DISK_FULL' });
    first.end();
    await expect(space.admit(600, 'client')).resolves.toBeDefined();
  });
});

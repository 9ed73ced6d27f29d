import { writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { tokenAccess } from '../support/access.ts';
import { S3Bucket } from '../../coordinator/blobs/s3-bucket.ts';
import {
  openS3Store,
  type S3Store,
  type S3StoreOptions,
} from '../../coordinator/blobs/s3-store.ts';
import { startHttpServer } from '../../coordinator/http/server.ts';
import { NetworkLimits } from '../../coordinator/limits/network-limits.ts';
import { downloadBlob, findMissing, uploadBlob } from '../../kit/blob-transfer.ts';
import { type Clock, systemClock } from '../../kit/clock.ts';
import {
  content,
  contentFile,
  expectSame,
  fileMethods,
  silentLog,
  temporaryFolder,
  TOKEN,
  type Content,
} from '../support/blobs.ts';
import { startProxy } from '../support/proxy.ts';
import { startTestS3, type TestS3 } from '../support/s3-server.ts';

const MIB = 1024 * 1024;
const HOUR_MS = 3600 * 1000;
let s3: TestS3;
beforeAll(async () => {
  s3 = await startTestS3();
});
afterAll(() => s3.close());

/** A prefix of the test's own, unless one is given. */
async function openStore(options: Partial<S3StoreOptions> = {}): Promise<S3Store> {
  const directory = await temporaryFolder();
  const store = await openS3Store({
    directory,
    bucket: s3.bucket,
    prefix: freshPrefix(),
    endpoint: s3.endpoint,
    region: 'us-east-1',
    isPathStyle: true,
    clock: systemClock,
    log: silentLog,
    minFreeBytes: 0,
    ...options,
  });
  onTestFinished(() => store.close());
  return store;
}

let prefixes = 0;
const freshPrefix = (): string => `${s3.prefix}${++prefixes}/`;

const put = (store: S3Store, { bytes, blob }: Content, purpose: 'client' | 'result' = 'client') =>
  store.receive(blob, Readable.from([bytes], { objectMode: false }), purpose);
const get = async (store: S3Store, { blob }: Content, start = 0, end = Infinity) =>
  buffer(await store.read(blob.sha256, { start, end }));
const nobody = () => false;

/** Wall time runs as ever, so that the service's times can be compared with it; and can be moved on. */
function movableClock(): Clock & { advance(ms: number): void } {
  let aheadMs = 0;
  return {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    wallMs: () => systemClock.wallMs() + aheadMs,
    advance: (ms) => void (aheadMs += ms),
  };
}

/** Passes requests on to the service and tells which there were, as "METHOD path?query". */
async function recordRequests(): Promise<{ endpoint: string; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    requests.push(`${method} ${url}`);
    const onward = httpRequest(`${s3.endpoint}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

describe('s3 store', () => {
  it('keeps blobs, whole, in ranges and empty, and tells which are missing', async () => {
    const store = await openStore();
    const [film, empty, other] = [content(100_000), content(0), content(10)];
    await put(store, film);
    await put(store, empty);
    const names = [film, other, empty].map(({ blob }) => blob.sha256);
    expect(await store.findMissing(names)).toEqual([other.blob.sha256]);
    expect(await store.sizeOf(film.blob.sha256)).toBe(100_000);
    expectSame(await get(store, film), film.bytes);
    expectSame(await get(store, film, 99_990), film.bytes.subarray(99_990));
    expectSame(await get(store, film, 5, 9), film.bytes.subarray(5, 10));
    expectSame(await get(store, film, 100_000), Buffer.alloc(0));
    expectSame(await get(store, empty), empty.bytes);
    await expect(store.read(other.blob.sha256)).rejects.toMatchObject({ reason: 'BLOB_MISSING' });
  });

  it('has our disk flush nothing: the bucket is what keeps', async () => {
    const store = await openStore();
    const methods = await fileMethods();
    const flushes = [vi.spyOn(methods, 'sync'), vi.spyOn(methods, 'datasync')];
    for (const flush of flushes) flush.mockClear();
    await put(store, content(20 * MIB));
    for (const flush of flushes) expect(flush).not.toHaveBeenCalled();
  });

  it('sends large blobs in parts, and gives them back as they were', async () => {
    const { endpoint, requests } = await recordRequests();
    const store = await openStore({ endpoint });
    const film = content(32 * MIB + 1);
    await put(store, film);
    expect(requests.filter((line) => /^PUT .*partNumber=/.test(line))).toHaveLength(5);
    expectSame(await get(store, film), film.bytes);
    expectSame(
      await get(store, film, 8 * MIB - 1, 8 * MIB),
      film.bytes.subarray(8 * MIB - 1, 8 * MIB + 1),
    );
    await store.verify(film.blob.sha256);
  });

  it('takes the same blob from several at once, and sends what is there no second time', async () => {
    const { endpoint, requests } = await recordRequests();
    const store = await openStore({ endpoint });
    const same = content(50_000);
    await Promise.all(Array.from({ length: 4 }, () => put(store, same)));
    const before = requests.length;
    await put(store, same);
    expect(requests.length).toBe(before);
    expectSame(await get(store, same), same.bytes);
  });

  it('sends no byte of an upload that is not what its name promises', async () => {
    const { endpoint, requests } = await recordRequests();
    const store = await openStore({ endpoint });
    const { bytes, blob } = content(10 * MIB);
    const wrong = { bytes: Buffer.alloc(10 * MIB), blob };
    await expect(put(store, wrong)).rejects.toMatchObject({ reason: 'DIGEST_MISMATCH' });
    const short = { bytes: bytes.subarray(1), blob };
    await expect(put(store, short)).rejects.toMatchObject({ reason: 'SIZE_MISMATCH' });
    expect(requests.filter((line) => /^(PUT|POST) /.test(line))).toEqual([]);
    expect(await store.sizeOf(blob.sha256)).toBeUndefined();
  });

  it('gives no name to a file that changed on our disk after it was hashed: its upload is aborted', async () => {
    const { endpoint, requests } = await recordRequests();
    const prefix = freshPrefix();
    const store = await openStore({ endpoint, prefix });
    const { blob } = content(20 * MIB);
    const path = join(store.directory, 'incoming', 'changed');
    await writeFile(path, Buffer.alloc(20 * MIB));
    await expect(store.adopt(path, blob, 'client')).rejects.toMatchObject({
      reason: 'DIGEST_MISMATCH',
    });
    expect(requests.at(-1)).toMatch(/^DELETE .*uploadId=/);
    expect(await store.sizeOf(blob.sha256)).toBeUndefined();
    const bucket = new S3Bucket({
      bucket: s3.bucket,
      prefix,
      endpoint: s3.endpoint,
      region: 'us-east-1',
      isPathStyle: true,
    });
    onTestFinished(() => bucket.close());
    // s3rver has no such listing, and says so.
    expect(await bucket.unfinishedUploads(prefix).catch(() => [])).toEqual([]);
  });

  it('says that the service does not answer, keeps nothing from it, and works when it is back', async () => {
    const proxy = await startProxy(s3.port);
    onTestFinished(() => proxy.close());
    const prefix = freshPrefix();
    const store = await openStore({ prefix, endpoint: `http://127.0.0.1:${proxy.port}` });
    const [stored, large] = [content(1000), content(9 * MIB)];
    await put(store, stored);
    expect(await store.trouble()).toBeUndefined();
    proxy.cut();
    const unreachable = { code: 'unavailable', reason: 'BLOB_STORE_UNREACHABLE' };
    await expect(put(store, large)).rejects.toMatchObject(unreachable);
    await expect(store.findMissing([large.blob.sha256])).rejects.toMatchObject(unreachable);
    await expect(store.read(stored.blob.sha256)).rejects.toMatchObject(unreachable);
    expect(await store.trouble()).toContain('does not answer');
    // Also one that starts meanwhile comes up.
    const late = await openStore({ prefix, endpoint: `http://127.0.0.1:${proxy.port}` });
    proxy.heal();
    await put(store, large);
    expect(await store.trouble()).toBeUndefined();
    expectSame(await get(late, large), large.bytes);
  });

  it('refuses a bucket that is not there, by name', async () => {
    await expect(openStore({ bucket: 'furrow-no-such-bucket' })).rejects.toMatchObject({
      reason: 'BLOB_STORE_REFUSED',
      message: expect.stringContaining('s3://furrow-no-such-bucket/') as string,
    });
  });

  it('finds damage that stays, deletes it, and an upload mends it', async () => {
    const prefix = freshPrefix();
    const store = await openStore({ prefix });
    const film = content(10_000);
    await put(store, film);
    await store.verify(film.blob.sha256);
    const client = new S3Client({
      endpoint: s3.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
    });
    onTestFinished(() => client.destroy());
    const Key = `${prefix}blobs/${film.blob.sha256}.0`;
    await client.send(new PutObjectCommand({ Bucket: s3.bucket, Key, Body: Buffer.alloc(10_000) }));
    await expect(store.verify(film.blob.sha256)).rejects.toMatchObject({ reason: 'BLOB_DAMAGED' });
    expect(await store.findMissing([film.blob.sha256])).toEqual([film.blob.sha256]);
    await put(store, film);
    expectSame(await get(store, film), film.bytes);
  });
});

describe('two coordinators over one bucket', () => {
  it('see what the other stored, and what it deleted', async () => {
    const prefix = freshPrefix();
    const [one, two] = [await openStore({ prefix }), await openStore({ prefix })];
    const [film, note] = [content(9 * MIB), content(100)];
    await put(one, film, 'result');
    expect(await two.lookForMissing([film.blob.sha256])).toEqual([]);
    expectSame(await get(two, film), film.bytes);
    await put(two, note);
    expectSame(await get(one, note), note.bytes);
    expect(await one.release([film.blob.sha256, note.blob.sha256], nobody)).toBe(2);
    await expect(two.read(film.blob.sha256)).rejects.toMatchObject({ reason: 'BLOB_MISSING' });
    two.beginReign({ epoch: 1, referenced: () => new Set() });
    expect(await two.findMissing([note.blob.sha256])).toEqual([note.blob.sha256]);
  });

  it('take nothing from a successor, however late a delete of the deposed one arrives', async () => {
    const prefix = freshPrefix();
    const [one, two] = [await openStore({ prefix }), await openStore({ prefix })];
    const [asked, sentAgain, result] = [content(100), content(9 * MIB), content(300)];
    const names = [asked, sentAgain, result].map(({ blob }) => blob.sha256);
    one.beginReign({ epoch: 1, referenced: () => new Set() });
    for (const each of [asked, sentAgain, result]) await put(one, each, 'result');
    two.beginReign({ epoch: 2, referenced: () => new Set() });
    expect(await two.findMissing([asked.blob.sha256])).toEqual([]);
    await put(two, sentAgain);
    expect(await two.lookForMissing([result.blob.sha256])).toEqual([]);
    expect(await one.release(names, nobody)).toBe(3);
    for (const each of [asked, sentAgain, result]) expectSame(await get(two, each), each.bytes);
    const third = await openStore({ prefix });
    expect(await third.findMissing(names)).toEqual([]);
    for (const each of [asked, sentAgain, result]) expectSame(await get(third, each), each.bytes);
  });

  it('leave where it is what the farm refers to as a reign begins', async () => {
    const { endpoint, requests } = await recordRequests();
    const prefix = freshPrefix();
    const [one, two] = [await openStore({ prefix }), await openStore({ prefix, endpoint })];
    const [used, unused] = [content(100), content(200)];
    const names = [used, unused].map(({ blob }) => blob.sha256);
    one.beginReign({ epoch: 1, referenced: () => new Set() });
    for (const each of [used, unused]) await put(one, each);
    two.beginReign({ epoch: 2, referenced: () => new Set([used.blob.sha256]) });
    expect(await two.findMissing(names)).toEqual([]);
    expect(requests.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
    expect(await two.findMissing(names)).toEqual([]);
    expect(requests.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
  });

  it('sweep nothing within an hour of a takeover, and then only what is old, unused and unpinned', async () => {
    const prefix = freshPrefix();
    const clock = movableClock();
    const before = await openStore({ prefix });
    const [used, unused, asked] = [content(1), content(2), content(3)];
    for (const blob of [used, unused, asked]) await put(before, blob);
    const store = await openStore({ prefix, clock });
    clock.advance(2 * HOUR_MS);
    store.beginReign({ epoch: 1, referenced: () => new Set([used.blob.sha256]) });
    clock.advance(HOUR_MS - 60_000);
    const referenced = (sha256: string) => sha256 === used.blob.sha256;
    expect(await store.sweep(referenced)).toBe(0);
    expect(await store.findMissing([asked.blob.sha256])).toEqual([]);
    clock.advance(120_000);
    expect(await store.sweep(referenced)).toBe(1);
    const names = [used, unused, asked].map(({ blob }) => blob.sha256);
    expect(await store.lookForMissing(names)).toEqual([unused.blob.sha256]);
    clock.advance(HOUR_MS);
    expect(await store.sweep(referenced)).toBe(1);
    expect(await store.lookForMissing(names)).toEqual([unused.blob.sha256, asked.blob.sha256]);
  });

  it('do not sweep what another stored within the hour', async () => {
    const prefix = freshPrefix();
    const clock = movableClock();
    const store = await openStore({ prefix, clock });
    await put(await openStore({ prefix }), content(4));
    // Monotonic only: the service's clock and ours agree.
    const early = { ...clock, wallMs: () => systemClock.wallMs() };
    const sweeping = await openStore({ prefix, clock: early });
    clock.advance(2 * HOUR_MS);
    expect(await sweeping.sweep(nobody)).toBe(0);
    expect(await store.sweep(nobody)).toBe(1);
  });
});

async function serve(store: S3Store, idleTimeoutMs = 60_000) {
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    access: tokenAccess(TOKEN),
    limits: new NetworkLimits({}, silentLog),
    log: silentLog,
    health: () => ({ healthy: true }),
    mustLead: () => {},
    store,
    idleTimeoutMs,
  });
  onTestFinished(() => server.close(0));
  return { url: server.url, token: TOKEN };
}

describe('uploads over HTTP into a bucket', () => {
  it('are not cut for silence while a slow bucket takes them', async () => {
    const proxy = await startProxy(s3.port);
    onTestFinished(() => proxy.close());
    const store = await openStore({ endpoint: `http://127.0.0.1:${proxy.port}` });
    const target = await serve(store, 300);
    const film = await contentFile(await temporaryFolder(), 1000);
    proxy.delay(400);
    expect(await uploadBlob(target, film.path, film.blob, { attempts: 1 })).toBe(true);
  });

  it('are kept on disk while the bucket is away, and need not be sent again', async () => {
    const proxy = await startProxy(s3.port);
    onTestFinished(() => proxy.close());
    const store = await openStore({ endpoint: `http://127.0.0.1:${proxy.port}` });
    const target = await serve(store);
    const folder = await temporaryFolder();
    const film = await contentFile(folder, 65 * MIB);
    let sent = 0;
    const done = uploadBlob(target, film.path, film.blob, {
      attempts: 20,
      onProgress: (bytes) => {
        // Away for the moment in which the upload becomes whole.
        if (sent < 64 * MIB && bytes >= 64 * MIB) {
          proxy.cut();
          setTimeout(() => proxy.heal(), 1_500);
        }
        sent = bytes;
      },
    });
    expect(await done).toBe(true);
    expect(await findMissing(target, [film.blob.sha256])).toEqual([]);
    const path = join(folder, 'back');
    await downloadBlob(target, film.blob, path);
  });
});

import { existsSync, type ReadStream } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, vi } from 'vitest';
import { downloadFile, uploadFile } from '../../cli/blobs.ts';
import { BlobClient } from '../../agent/blobs/blob-client.ts';
import { MAX_PUT_BYTES } from '../../kit/blob-protocol.ts';
import { downloadBlob, findMissing, uploadBlob } from '../../kit/blob-transfer.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { readAnswer, sendRequest, type HttpTarget } from '../../kit/http-request.ts';
import { uploadResumably, uploadsInMemory } from '../../kit/tus-upload.ts';
import {
  content,
  expectSame,
  contentFile,
  fileMethods,
  lostBytes,
  silentLog,
  startBlobServer,
  temporaryFolder,
  TOKEN,
  type Content,
} from '../support/blobs.ts';

const MIB = 1024 * 1024;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

async function ask(
  target: HttpTarget,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: Buffer,
): Promise<Answer> {
  const response = await sendRequest(target, { method, path, headers, body });
  const { statusCode: status = 0 } = response;
  return { status, headers: response.headers, body: await buffer(response) };
}

const json = (answer: Answer) => JSON.parse(answer.body.toString()) as Record<string, unknown>;
const put = ({ bytes, blob }: Content, target: HttpTarget) =>
  ask(target, 'PUT', `/blobs/${blob.sha256}`, { 'content-length': `${bytes.length}` }, bytes);
const tusHeaders = ({ blob }: Content) => ({
  'tus-resumable': '1.0.0',
  'upload-length': `${blob.sizeBytes}`,
  'upload-metadata': `sha256 ${Buffer.from(blob.sha256).toString('base64')}`,
});

async function beginUpload(target: HttpTarget, of: Content): Promise<string> {
  const created = await ask(target, 'POST', '/uploads', tusHeaders(of));
  expect(created.status).toBe(201);
  return created.headers['location'] as string;
}

const patch = (target: HttpTarget, path: string, offset: number, bytes: Buffer) =>
  ask(
    target,
    'PATCH',
    path,
    {
      'tus-resumable': '1.0.0',
      'upload-offset': `${offset}`,
      'content-type': 'application/offset+octet-stream',
      'content-length': `${bytes.length}`,
    },
    bytes,
  );

async function offsetOf(target: HttpTarget, path: string): Promise<number> {
  const head = await ask(target, 'HEAD', path, { 'tus-resumable': '1.0.0' });
  return Number(head.headers['upload-offset']);
}

/** Sends a PATCH that breaks off when `bytes` have been written out. */
async function patchAndCut(target: HttpTarget, path: string, of: Content, bytes: number) {
  const request = httpRequest(new URL(path, target.url), {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${target.token}`,
      'tus-resumable': '1.0.0',
      'upload-offset': '0',
      'content-type': 'application/offset+octet-stream',
      'content-length': `${of.bytes.length}`,
    },
  });
  request.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    request.write(of.bytes.subarray(0, bytes), () => resolve());
  });
  await expect.poll(() => offsetOf(target, path).catch(() => 0)).toBeGreaterThan(0);
  request.destroy();
}

describe('reading over HTTP', () => {
  it('answers whole, part, HEAD and a range behind the end', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const film = content(200_000);
    const path = `/blobs/${film.blob.sha256}`;
    expect((await put(film, target)).status).toBe(201);
    expect((await put(film, target)).status).toBe(200);
    const whole = await ask(target, 'GET', path);
    expectSame(whole.body, film.bytes);
    expect(whole.headers['etag']).toBe(`"${film.blob.sha256}"`);
    const part = await ask(target, 'GET', path, { range: 'bytes=1000-1999' });
    expect(part.status).toBe(206);
    expect(part.headers['content-range']).toBe('bytes 1000-1999/200000');
    expectSame(part.body, film.bytes.subarray(1000, 2000));
    const other = await ask(target, 'GET', path, { range: 'bytes=1000-', 'if-range': '"other"' });
    expect(other.status).toBe(200);
    const head = await ask(target, 'HEAD', path);
    expect(head.headers['content-length']).toBe('200000');
    expect(head.body).toHaveLength(0);
    const behind = await ask(target, 'GET', path, { range: 'bytes=200000-' });
    expect(behind.status).toBe(416);
    expect(behind.headers['content-range']).toBe('bytes */200000');
  });

  it('lets nobody in without the token, and tells a stranger nothing', async () => {
    const folder = await temporaryFolder();
    const { target } = await startBlobServer(folder);
    const film = content(10);
    await put(film, target);
    const stranger = { url: target.url, token: 'wrong' };
    for (const [method, path] of [
      ['GET', `/blobs/${film.blob.sha256}`],
      ['HEAD', `/blobs/${film.blob.sha256}`],
      ['POST', '/blobs/missing'],
      ['POST', '/uploads'],
      ['GET', '/no-such-path'],
    ] as const) {
      expect((await ask(stranger, method, path)).status).toBe(401);
    }
    const other = content(10);
    expect((await put(other, stranger)).status).toBe(401);
    expect((await ask(stranger, 'GET', '/healthz')).status).toBe(200);
    expect(await findMissing(target, [other.blob.sha256])).toEqual([other.blob.sha256]);
  });

  it.each([
    '/blobs/../../../../etc/passwd',
    '/blobs/..%2f..%2f..%2fetc%2fpasswd',
    '/blobs/%2e%2e/%2e%2e/token',
    '/uploads/../blobs/ab',
    '/uploads/..%2f..%2fetc%2fpasswd',
    '/uploads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.json',
    '//etc/passwd',
    'http://elsewhere/blobs/..',
  ])('gives no file away for the path %s', async (path) => {
    const { target } = await startBlobServer(await temporaryFolder());
    const { port, hostname } = new URL(target.url);
    // By hand: a URL parser would resolve the dots before they are sent.
    const socket = connect(Number(port), hostname);
    socket.end(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\n\r\n`,
    );
    const text = (await buffer(socket)).toString();
    expect(text).toMatch(/^HTTP\/1\.1 40[045] /);
    expect(text).toContain('"code":');
  });

  it('reads no more from disk than a slow reader takes', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(48 * MIB);
    await put(film, target);
    const read = vi.spyOn(store, 'read');
    const path = `/blobs/${film.blob.sha256}`;
    const response = await sendRequest(target, { method: 'GET', path });
    const stream = (await read.mock.results[0]?.value) as ReadStream;
    // Until the sockets' buffers are full and the server waits.
    let last = -1;
    const stalled = () => stream.bytesRead > 0 && last === (last = stream.bytesRead);
    await expect.poll(stalled, { interval: 250, timeout: 20_000 }).toBe(true);
    expect(last).toBeLessThan(24 * MIB);
    expectSame(await buffer(response), film.bytes);
  });

  it('cuts a connection on which nothing moves', async () => {
    const { target } = await startBlobServer(await temporaryFolder(), { idleTimeoutMs: 200 });
    const film = content(1000);
    const sending = sendRequest(target, {
      method: 'PUT',
      path: `/blobs/${film.blob.sha256}`,
      headers: { 'content-length': '1000' },
      body: () => new Readable({ read: () => undefined }),
    });
    await expect(sending).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('downloads', () => {
  it('that the disk failed to keep begin anew', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    await put(film, target);
    const copy = join(await temporaryFolder(), 'copy');
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValueOnce(lostBytes());
    await expect(downloadBlob(target, film.blob, copy)).rejects.toMatchObject({ code: 'EIO' });
    expect(existsSync(copy)).toBe(false);
    await downloadBlob(target, film.blob, copy);
    expectSame(await readFile(copy), film.bytes);
  });
});

describe('questions and small uploads', () => {
  it('names what is missing, in the order asked', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const [here, one, two] = [content(5), content(6), content(7)];
    await put(here, target);
    const hashes = [one, here, two].map(({ blob }) => blob.sha256);
    expect(await findMissing(target, hashes)).toEqual([one.blob.sha256, two.blob.sha256]);
  });

  it.each(['', '{}', '{"sha256":["x"]}', '{"sha256":"abc"}', 'not json'])(
    'refuses the question %j in one line',
    async (text) => {
      const { target } = await startBlobServer(await temporaryFolder());
      const answer = await ask(target, 'POST', '/blobs/missing', {}, Buffer.from(text));
      expect(answer.status).toBe(400);
      expect(json(answer)).toMatchObject({ code: 'invalid' });
      expect(answer.body.toString().trimEnd()).not.toContain('\n');
    },
  );

  it('refuses wrong bytes, a missing length, and what is too large for one request', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    const wrong = await put({ ...film, bytes: Buffer.alloc(1000) }, target);
    expect(wrong.status).toBe(460);
    expect(json(wrong)).toMatchObject({ code: 'invalid', reason: 'DIGEST_MISMATCH' });
    const path = `/blobs/${film.blob.sha256}`;
    const chunked = await sendRequest(target, {
      method: 'PUT',
      path,
      body: () => Readable.from([film.bytes]),
    });
    await expect(readAnswer(target, chunked)).rejects.toMatchObject({ reason: 'LENGTH_REQUIRED' });
    const huge = await sendRequest(target, {
      method: 'PUT',
      path,
      headers: { 'content-length': `${MAX_PUT_BYTES + 1}` },
      body: () => Readable.from([film.bytes]),
    });
    await expect(readAnswer(target, huge)).rejects.toMatchObject({ reason: 'BLOB_TOO_LARGE' });
    expect((await put(film, target)).status).toBe(201);
  });

  it('refuses clients on a full disk and still takes results', async () => {
    const { target } = await startBlobServer(await temporaryFolder(), {
      minFreeBytes: 1000,
      measureSpace: () => Promise.resolve({ freeBytes: 1500, totalBytes: 10_000 }),
    });
    const folder = await temporaryFolder();
    const { path, blob } = await contentFile(folder, 600);
    await expect(uploadBlob(target, path, blob)).rejects.toMatchObject({
      code: 'exhausted',
      reason: 'DISK_FULL',
    });
    const begun = uploadResumably(target, path, blob, { memory: uploadsInMemory() });
    await expect(begun).rejects.toMatchObject({ code: 'exhausted', reason: 'DISK_FULL' });
    const client = new BlobClient(target, silentLog);
    expect(await client.upload(path, new AbortController().signal)).toEqual(blob);
  });
});

describe('resumable uploads', () => {
  it('go on where a cut connection left them', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(20 * MIB);
    const path = await beginUpload(target, film);
    await patchAndCut(target, path, film, 8 * MIB);
    const offset = await offsetOf(target, path);
    expect(offset).toBeLessThanOrEqual(8 * MIB);
    const rest = await patch(target, path, offset, film.bytes.subarray(offset));
    expect(rest.status).toBe(204);
    expectSame(await buffer(await store.read(film.blob.sha256)), film.bytes);
    expect(await readdir(join(store.directory, 'uploads'))).toEqual([]);
  });

  it('are left to whoever asks for them next, when their connection stands still', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(2 * MIB);
    const path = await beginUpload(target, film);
    const stalled = httpRequest(new URL(path, target.url), {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${target.token}`,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': 'application/offset+octet-stream',
        'content-length': `${film.bytes.length}`,
      },
    });
    stalled.on('error', () => undefined);
    stalled.write(film.bytes.subarray(0, MIB));
    // Until then the server may not have begun with it.
    const file = join(store.directory, path);
    await expect.poll(async () => (await readFile(file)).length).toBe(MIB);
    expect(await offsetOf(target, path)).toBe(MIB);
    expect((await patch(target, path, MIB, film.bytes.subarray(MIB))).status).toBe(204);
    expectSame(await buffer(await store.read(film.blob.sha256)), film.bytes);
  });

  it('refuse what does not follow, is too long, or speaks no tus', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    const path = await beginUpload(target, film);
    const gap = await patch(target, path, 10, film.bytes.subarray(10));
    expect(gap.status).toBe(409);
    expect(json(gap)).toMatchObject({ reason: 'UPLOAD_OFFSET' });
    const long = await patch(target, path, 0, Buffer.alloc(1001));
    expect(json(long)).toMatchObject({ code: 'invalid', reason: 'SIZE_MISMATCH' });
    const plain = await ask(target, 'PATCH', path, { 'upload-offset': '0' }, film.bytes);
    expect(json(plain)).toMatchObject({ code: 'invalid', reason: 'BAD_UPLOAD' });
    const unknown = await patch(target, `/uploads/${'0'.repeat(32)}`, 0, film.bytes);
    expect(unknown.status).toBe(404);
    expect(json(unknown)).toMatchObject({ reason: 'UPLOAD_MISSING' });
    expect((await patch(target, path, 0, film.bytes)).status).toBe(204);
    expectSame(await buffer(await store.read(film.blob.sha256)), film.bytes);
  });

  it('go on after the server was restarted', async () => {
    const folder = await temporaryFolder();
    const film = content(4 * MIB);
    const first = await startBlobServer(folder);
    const path = await beginUpload(first.target, film);
    await patch(first.target, path, 0, film.bytes.subarray(0, MIB));
    await first.close();
    const { target, store } = await startBlobServer(folder);
    expect(await offsetOf(target, path)).toBe(MIB);
    expect((await patch(target, path, MIB, film.bytes.subarray(MIB))).status).toBe(204);
    expectSame(await buffer(await store.read(film.blob.sha256)), film.bytes);
  });

  it('that have all bytes but no place yet are finished before anybody sees them', async () => {
    const folder = await temporaryFolder();
    const film = content(1000);
    const first = await startBlobServer(folder);
    const path = await beginUpload(first.target, film);
    await first.close();
    // As a crash between the last byte and the rename leaves it.
    await writeFile(join(folder, path), film.bytes);
    const { target, store } = await startBlobServer(folder);
    expect((await ask(target, 'HEAD', path, { 'tus-resumable': '1.0.0' })).status).toBe(404);
    expect(await store.sizeOf(film.blob.sha256)).toBeDefined();
  });

  it('with wrong bytes are refused and deleted', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    const path = await beginUpload(target, film);
    const answer = await patch(target, path, 0, Buffer.alloc(1000));
    expect(answer.status).toBe(460);
    expect(json(answer)).toMatchObject({ reason: 'DIGEST_MISMATCH' });
    expect(await store.sizeOf(film.blob.sha256)).toBeUndefined();
    expect(await readdir(join(store.directory, 'uploads'))).toEqual([]);
  });

  it('that the disk failed to keep begin anew', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    const path = await beginUpload(target, film);
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValueOnce(lostBytes());
    const answer = await patch(target, path, 0, film.bytes);
    expect(answer.status).toBe(503);
    expect(json(answer)).toMatchObject({ code: 'unavailable', reason: 'UPLOAD_LOST' });
    expect((await ask(target, 'HEAD', path, { 'tus-resumable': '1.0.0' })).status).toBe(410);
    expect(await store.sizeOf(film.blob.sha256)).toBeUndefined();
    const large = await contentFile(await temporaryFolder(), MAX_PUT_BYTES + 1);
    vi.spyOn(await fileMethods(), 'sync').mockRejectedValueOnce(lostBytes());
    expect(await uploadBlob(target, large.path, large.blob)).toBe(true);
    expectSame(await buffer(await store.read(large.blob.sha256)), large.bytes);
  });

  it('need a digest and a length, and are not begun for what is here', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const film = content(1000);
    const { 'upload-metadata': _, ...nameless } = tusHeaders(film);
    expect(json(await ask(target, 'POST', '/uploads', nameless))).toMatchObject({
      reason: 'BAD_BLOB_NAME',
    });
    await put(film, target);
    const again = await ask(target, 'POST', '/uploads', tusHeaders(film));
    expect(again.status).toBe(409);
    expect(json(again)).toMatchObject({ reason: 'BLOB_EXISTS' });
  });

  it('of one blob by several at once all succeed', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const film = await contentFile(await temporaryFolder(), 3 * MIB);
    const upload = () =>
      uploadResumably(target, film.path, film.blob, { memory: uploadsInMemory() });
    await Promise.all([upload(), upload(), upload()]);
    expectSame(await buffer(await store.read(film.blob.sha256)), film.bytes);
  });

  it('go where the farm is by then', async () => {
    const mustLead = (): never => {
      throw new FurrowError('unavailable', 'NOT_LEADER', 'it stands by');
    };
    const standby = await startBlobServer(await temporaryFolder(), { mustLead });
    const leader = await startBlobServer(await temporaryFolder());
    const small = await contentFile(await temporaryFolder(), 100);
    const large = await contentFile(await temporaryFolder(), MAX_PUT_BYTES + 1);
    for (const { path, blob } of [small, large]) {
      const target = {
        ...standby.target,
        lookAgain: async () => {
          target.url = leader.target.url;
        },
      };
      expect(await uploadBlob(target, path, blob)).toBe(true);
      expect(await leader.store.sizeOf(blob.sha256)).toBe(blob.sizeBytes);
      expect(await standby.store.sizeOf(blob.sha256)).toBeUndefined();
    }
  });

  it('survive a server that is killed and comes back at the same address', async () => {
    const folder = await temporaryFolder();
    const film = await contentFile(await temporaryFolder(), MAX_PUT_BYTES / 2);
    const first = await startBlobServer(folder);
    const port = Number(new URL(first.target.url).port);
    const memory = uploadsInMemory();
    let closed: Promise<void> | undefined;
    const cut = uploadResumably(first.target, film.path, film.blob, {
      memory,
      onProgress: (bytes) => {
        if (bytes > 8 * MIB) closed ??= first.close();
      },
    });
    await expect(cut).rejects.toMatchObject({ code: 'unavailable' });
    await closed;
    const { store } = await startBlobServer(folder, { port });
    const offset = await offsetOf(first.target, (await memory.get(film.blob.sha256)) ?? '');
    expect(offset).toBeGreaterThan(0);
    await uploadResumably(first.target, film.path, film.blob, { memory });
    expect(await store.sizeOf(film.blob.sha256)).toBeDefined();
  });
});

describe('files of the user', () => {
  it('go up and come down the same, are sent once, and replace nothing unasked', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const folder = await temporaryFolder();
    const film = await contentFile(folder, 2 * MIB);
    const phases = new Set<string>();
    const options = {
      memoryDir: join(folder, 'uploads'),
      onProgress: ({ phase }: { phase: string }) => void phases.add(phase),
    };
    expect(await uploadFile(target, film.path, 2 * MIB, options)).toEqual(film.blob);
    expect(await uploadBlob(target, film.path, film.blob)).toBe(false);
    const out = join(folder, 'out.mp4');
    await downloadFile(target, film.blob, out, { ...options, replace: false });
    expectSame(await readFile(out), film.bytes);
    expect([...phases].sort()).toEqual(['downloading', 'hashing', 'uploading']);
    await writeFile(out, 'precious');
    const again = downloadFile(target, film.blob, out, { replace: false });
    await expect(again).rejects.toMatchObject({ reason: 'TARGET_EXISTS' });
    expect(await readFile(out, 'utf8')).toBe('precious');
    await downloadFile(target, film.blob, out, { replace: true });
    expectSame(await readFile(out), film.bytes);
  });

  it('are fetched from where a cut download stopped, also when its bytes are wrong', async () => {
    const { target } = await startBlobServer(await temporaryFolder());
    const folder = await temporaryFolder();
    const film = content(MIB);
    await put(film, target);
    const path = join(folder, 'part');
    await writeFile(path, film.bytes.subarray(0, 600_000));
    const seen: number[] = [];
    await downloadBlob(target, film.blob, path, { onProgress: (bytes) => void seen.push(bytes) });
    expect(seen[0]).toBeGreaterThan(600_000);
    expectSame(await readFile(path), film.bytes);
    await writeFile(path, Buffer.alloc(600_000));
    await downloadBlob(target, film.blob, path);
    expectSame(await readFile(path), film.bytes);
  });

  it('that are damaged at the farm are told as data-loss, and an upload mends them', async () => {
    const { target, store } = await startBlobServer(await temporaryFolder());
    const folder = await temporaryFolder();
    const film = await contentFile(folder, 5000);
    await uploadBlob(target, film.path, film.blob);
    const { sha256 } = film.blob;
    const stored = join(store.directory, 'blobs', sha256.slice(0, 2), sha256.slice(2));
    await rm(stored);
    await writeFile(stored, Buffer.alloc(5000));
    const out = join(folder, 'out');
    await expect(downloadBlob(target, film.blob, out)).rejects.toMatchObject({
      code: 'data-loss',
      reason: 'BLOB_DAMAGED',
    });
    expect(await uploadBlob(target, film.path, film.blob)).toBe(true);
    await downloadBlob(target, film.blob, out);
    expectSame(await readFile(out), film.bytes);
  });

  it('end with the reason of the signal, and with one error when the farm is away', async () => {
    const { target, close } = await startBlobServer(await temporaryFolder());
    const folder = await temporaryFolder();
    const film = await contentFile(folder, MIB);
    const stopped = new AbortController();
    stopped.abort(new Error('stopped by the user'));
    const upload = uploadBlob(target, film.path, film.blob, { signal: stopped.signal });
    await expect(upload).rejects.toThrow('stopped by the user');
    await close();
    const away = uploadBlob(target, film.path, film.blob, { attempts: 2 });
    await expect(away).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'COORDINATOR_UNREACHABLE',
    });
  });
});

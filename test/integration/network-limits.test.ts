/** The limits of both ports, each by itself and set low; test/e2e/hostile-network has all at once. */
import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Client, credentials, Metadata, type ServiceDefinition, status } from '@grpc/grpc-js';
import { expect, onTestFinished, test } from 'vitest';
import { startGrpcServer } from '../../coordinator/grpc/server.ts';
import { NetworkLimits, type NetworkSettings } from '../../coordinator/limits/network-limits.ts';
import { sendRequest } from '../../kit/http-request.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import { tokenAccess } from '../support/access.ts';
import { content, silentLog, startBlobServer, temporaryFolder, TOKEN } from '../support/blobs.ts';
import { framed, hostileSession, plainLine, type Target } from '../support/hostile.ts';
import { refusalOf } from '../support/grpc-calls.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const PATIENCE = { timeout: 20_000 };

const bytes = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
};

const BIG: ServiceDefinition = {
  get: { path: '/test.Big/Get', requestStream: false, responseStream: false, ...bytes },
};

/** A service whose one answer has `answerBytes`. */
async function startBig(settings: NetworkSettings, answerBytes: number) {
  const limits = new NetworkLimits(settings, silentLog);
  const server = await startGrpcServer({
    host: '127.0.0.1',
    port: 0,
    access: tokenAccess(TOKEN),
    limits,
    protoDirectory: 'proto',
    services: [
      {
        definition: BIG,
        implementation: {
          get: (_: unknown, answer: (error: null, value: Buffer) => void) =>
            answer(null, Buffer.alloc(answerBytes)),
        },
        isLeaders: false,
      },
    ],
  });
  onTestFinished(async () => {
    limits.close();
    await server.close(0);
  });
  const [host = '', port = ''] = server.address.split(':');
  const target: Target = { host, port: Number(port), trust: PLAINTEXT };
  return { limits, server, target };
}

function askBig(address: string, token = TOKEN): Promise<Buffer> {
  const client = new Client(address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      '/test.Big/Get',
      (value: Buffer) => value,
      (value: Buffer) => value,
      Buffer.alloc(1),
      metadata,
      (error, value) => (error === null ? resolve(value!) : reject(error)),
    );
  });
}

test('a client that asks and never reads loses its connection before much waits for it', async () => {
  const { limits, server, target } = await startBig({ maxUnreadBytes: 16 * MIB }, 512 * KIB);
  const hostile = hostileSession(target);
  let mostBytes = 0;
  for (let call = 0; call < 200; call += 1) {
    hostile.call('/test.Big/Get', TOKEN).end(framed(Buffer.alloc(1)));
  }
  await expect
    .poll(() => {
      mostBytes = Math.max(mostBytes, limits.unread.bytes);
      return hostile.isOpen();
    }, PATIENCE)
    .toBe(false);
  expect(mostBytes).toBeLessThan(4 * MIB);
  expect(await askBig(server.address)).toHaveLength(512 * KIB);
  await expect.poll(() => limits.unread.bytes, PATIENCE).toBe(0);
});

test('a client that stops reading is cut after a while, and one that reads is not', async () => {
  const { limits, server, target } = await startBig({ longestUnreadMs: 100 }, MIB);
  const hostile = hostileSession(target);
  hostile.call('/test.Big/Get', TOKEN).end(framed(Buffer.alloc(1)));
  await expect.poll(() => limits.unread.bytes, PATIENCE).toBeGreaterThan(0);
  await expect.poll(() => hostile.isOpen(), PATIENCE).toBe(false);
  const reader = hostileSession(target);
  const stream = reader.call('/test.Big/Get', TOKEN);
  stream.end(framed(Buffer.alloc(1)));
  expect((await buffer(stream.resume())).length).toBeGreaterThan(MIB);
  expect(await askBig(server.address)).toHaveLength(MIB);
  expect(reader.isOpen()).toBe(true);
});

test('connections above the limit are closed at once, and places are given back', async () => {
  const { limits, target } = await startBig({ maxConnections: 16 }, 1);
  const lines = Array.from({ length: 24 }, () => plainLine(target));
  await expect.poll(() => lines.filter((line) => !line.isOpen()).length, PATIENCE).toBe(8);
  expect(limits.door.open).toBe(16);
  for (const { socket } of lines) socket.destroy();
  await expect.poll(() => limits.door.open, PATIENCE).toBe(0);
  const late = plainLine(target);
  await expect.poll(() => limits.door.open, PATIENCE).toBe(1);
  expect(late.isOpen()).toBe(true);
});

test('requests above the rate are refused so that clients try again', async () => {
  const { server } = await startBig({ maxRequestsPerSecond: 2 }, 1);
  const asked = Array.from({ length: 8 }, () => askBig(server.address));
  const refused = await Promise.allSettled(asked);
  const isRefused = refused.map(({ status: outcome }) => outcome === 'rejected');
  expect(isRefused.filter(Boolean).length).toBeGreaterThan(0);
  expect(await refusalOf(asked[isRefused.indexOf(true)]!)).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    reason: 'TOO_MANY_REQUESTS',
  });
  const limits = new NetworkLimits({ maxRequestsPerSecond: 1 }, silentLog);
  const { target } = await startBlobServer(await temporaryFolder(), { limits });
  const ask = () => sendRequest(target, { method: 'GET', path: '/healthz' });
  const answers = await Promise.all(Array.from({ length: 20 }, ask));
  for (const answer of answers) answer.resume();
  const late = answers.find(({ statusCode }) => statusCode === 429);
  expect(late?.headers['retry-after']).toBe('1');
});

test('failed logins wait longer and longer, and a right token waits for none of them', async () => {
  const { server } = await startBig({}, 1);
  for (let index = 0; index < 8; index += 1) {
    expect(await refusalOf(askBig(server.address, 'wrong'))).toMatchObject({
      reason: 'TOKEN_WRONG',
    });
  }
  const order: string[] = [];
  const wrong = refusalOf(askBig(server.address, 'wrong')).then(() => order.push('wrong'));
  await askBig(server.address).then(() => order.push('right'));
  await wrong;
  expect(order).toEqual(['right', 'wrong']);
});

/** A PUT of which `chunkBytes` are sent at a time. Answers its status, or undefined when it was cut. */
function trickle(
  url: string,
  { bytes: whole, blob }: ReturnType<typeof content>,
  chunkBytes: number,
): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = httpRequest(new URL(`/blobs/${blob.sha256}`, url), {
      method: 'PUT',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-length': whole.length },
    });
    request.on('response', (response) => resolve(response.resume().statusCode));
    request.on('error', () => resolve(undefined));
    let sent = 0;
    const timer = setInterval(() => {
      request.write(whole.subarray(sent, sent + chunkBytes));
      sent += chunkBytes;
      if (sent < whole.length) return;
      clearInterval(timer);
      request.end();
    }, 20);
    request.once('close', () => clearInterval(timer));
  });
}

test('a body that comes byte by byte is cut, and one that comes slowly is not', async () => {
  const pace = { windowMs: 2_000, leastBytes: 2 * KIB };
  const { target } = await startBlobServer(await temporaryFolder(), { pace });
  const slow = trickle(target.url, content(120 * KIB), 512);
  const byteByByte = trickle(target.url, content(40 * KIB), 1);
  expect(await byteByByte).toBeUndefined();
  expect(await slow).toBe(201);
});

test('a download that is read byte by byte is cut', async () => {
  const pace = { windowMs: 500, leastBytes: 64 * KIB };
  const limits = new NetworkLimits({}, silentLog);
  const { store, target } = await startBlobServer(await temporaryFolder(), { pace, limits });
  const film = content(32 * MIB);
  await store.receive(film.blob, Readable.from([film.bytes]), 'client');
  const { port } = new URL(target.url);
  const line = plainLine({ host: '127.0.0.1', port: Number(port), trust: PLAINTEXT });
  line.socket.removeAllListeners('data').pause();
  const reading = setInterval(() => line.socket.read(1), 50);
  line.socket.once('close', () => clearInterval(reading));
  const asked = `GET /blobs/${film.blob.sha256} HTTP/1.1`;
  line.socket.write(`${asked}\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  await expect.poll(() => limits.door.open, PATIENCE).toBe(1);
  await expect.poll(() => limits.door.open, PATIENCE).toBe(0);
});

test('only so many bodies are received at once, and uploads begun', async () => {
  const { target } = await startBlobServer(await temporaryFolder(), {
    bodies: { inAll: 1, perAddress: 1 },
    mostHalfMadeUploads: 2,
  });
  const [held, small] = [content(10), content(10)];
  const { port } = new URL(target.url);
  const line = plainLine({ host: '127.0.0.1', port: Number(port), trust: PLAINTEXT });
  const head = [`PUT /blobs/${held.blob.sha256} HTTP/1.1`, 'host: x', 'content-length: 10'];
  line.socket.write([...head, `authorization: Bearer ${TOKEN}`, '', ''].join('\r\n'));
  line.socket.write(held.bytes.subarray(0, 5));
  const put = async () => {
    const answer = await sendRequest(target, {
      method: 'PUT',
      path: `/blobs/${small.blob.sha256}`,
      headers: { 'content-length': '10' },
      body: small.bytes,
    });
    answer.resume();
    return [answer.statusCode, answer.headers['retry-after']];
  };
  await expect.poll(put, PATIENCE).toEqual([503, '1']);
  line.socket.write(held.bytes.subarray(5));
  await expect.poll(() => line.heard(), PATIENCE).toMatch(/^HTTP\/1\.1 201 /);
  // Whoever is told so tries again.
  await expect.poll(async () => (await put())[0], PATIENCE).toBe(200);
  const begin = async () => {
    const { blob } = content(100);
    const answer = await sendRequest(target, {
      method: 'POST',
      path: '/uploads',
      headers: {
        'tus-resumable': '1.0.0',
        'upload-length': '100',
        'upload-metadata': `sha256 ${Buffer.from(blob.sha256).toString('base64')}`,
      },
    });
    return [answer.statusCode, JSON.parse((await buffer(answer)).toString() || '{}')] as const;
  };
  expect((await begin())[0]).toBe(201);
  expect((await begin())[0]).toBe(201);
  expect(await begin()).toMatchObject([507, { reason: 'TOO_MANY_UPLOADS' }]);
});

/**
 * A coordinator under attack on both ports at once: it lives, others are served meanwhile, its memory stays
 * within a bound of what it was, and all that the attackers held is given back.
 */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { AdvertiseRequest } from '../../proto/gen/furrow/v1/agent_service.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import {
  framed,
  hostileSession,
  type HostileSession,
  type Line,
  plainLine,
  secureLine,
  sizeOfProcess,
  type Target,
} from '../support/hostile.ts';

const MIB = 1024 * 1024;
const CROWD = 1_000;
const FEW = 20;
const SPENDTHRIFTS = 8;
const HALF_MESSAGES = 50;
/** What strangers alone would make a coordinator keep that does not look at their tokens first is thrice that. */
const MOST_GROWTH_BYTES = (SPENDTHRIFTS * HALF_MESSAGES * MIB) / 3;

interface Attack {
  readonly lines: readonly Line[];
  readonly sessions: readonly HostileSession[];
}

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Connections that never say a word, stall in the handshake, or speak nonsense. */
function crowd(grpc: Target, http: Target): Line[] {
  const silent = many(CROWD, (index) => plainLine(index % 2 === 0 ? grpc : http));
  const mute = many(FEW, () => secureLine(grpc, ['h2']));
  const noise = many(FEW * 2, (index) => {
    const line = index % 4 < 2 ? plainLine(grpc) : secureLine(http);
    line.socket.write(randomBytes(10_000));
    return line;
  });
  return [...silent, ...mute, ...noise];
}

/** Headers that never end, byte by byte. */
function slowHeaders(http: Target): Line[] {
  return many(FEW, () => {
    const line = secureLine(http);
    line.socket.write('GET /blobs/0 HTTP/1.1\r\nhost: x\r\nx-slow: ');
    const timer = setInterval(() => line.socket.write('a'), 500);
    line.socket.once('close', () => clearInterval(timer));
    return line;
  });
}

/** Strangers that begin messages of 7 MiB and never finish them. */
function halfMessages(grpc: Target): HostileSession[] {
  const begin = framed(Buffer.alloc(MIB), 7 * MIB);
  return many(SPENDTHRIFTS, () => {
    const hostile = hostileSession(grpc);
    for (let call = 0; call < HALF_MESSAGES; call += 1) {
      const stream = hostile.call('/furrow.v1.JobService/SubmitJob', 'wrong');
      stream.write(begin);
    }
    return hostile;
  });
}

/** An agent that beats as fast as it can and reads no answer. */
function deafAgent(grpc: Target, token: string): HostileSession {
  const hostile = hostileSession(grpc);
  const stream = hostile.call('/furrow.v1.AgentService/Advertise', token);
  const beat = AdvertiseRequest.encode(
    AdvertiseRequest.fromPartial({ agentId: 'deaf', session: 'deaf-1', beat: 1 }),
  ).finish();
  const beats = Buffer.concat(many(1_000, () => framed(beat)));
  let left = 100;
  const shout = (): void => {
    while (left-- > 0 && !stream.destroyed && stream.write(beats));
  };
  stream.on('drain', shout);
  shout();
  return hostile;
}

/** Thousands of calls that are taken back at once. */
function rapidReset(grpc: Target, token: string): HostileSession {
  const hostile = hostileSession(grpc);
  const timer = setInterval(() => {
    if (!hostile.isOpen()) return clearInterval(timer);
    for (let call = 0; call < 200; call += 1) {
      try {
        hostile.call('/furrow.v1.FarmService/GetFarm', token).close(8);
      } catch {
        return;
      }
    }
  }, 50);
  hostile.session.once('close', () => clearInterval(timer));
  return hostile;
}

function attack(grpc: Target, http: Target, token: string): Attack {
  const lines = [...crowd(grpc, http), ...slowHeaders(http)];
  const sessions = [...halfMessages(grpc), deafAgent(grpc, token), rapidReset(grpc, token)];
  return { lines, sessions };
}

async function serveHonest(farm: TestFarm, work: () => Promise<void>): Promise<number> {
  const { client } = farm;
  const done = new AbortController();
  let served = 0;
  const serve = async (): Promise<void> => {
    while (!done.signal.aborted) {
      await client.call(client.farm.listAgents.bind(client.farm), {});
      const answer = await fetchHealth(farm);
      expect(answer).toContain('"healthy":true');
      served += 1;
    }
  };
  const serving = serve();
  try {
    await Promise.race([work(), serving.then(() => undefined)]);
  } finally {
    done.abort();
  }
  await serving;
  return served;
}

async function fetchHealth(farm: TestFarm): Promise<string> {
  const line = secureLine(targetOf(farm.httpUrls[0]!, farm));
  line.socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await until('health', () => !line.isOpen());
  return line.heard();
}

function targetOf(url: string, farm: TestFarm): Target {
  const { hostname: host, port } = new URL(url.includes('://') ? url : `https://${url}`);
  return { host, port: Number(port), trust: farm.trust };
}

test('it serves on while strangers and broken clients attack both ports', async () => {
  const farm = await startFarm();
  const grpc = targetOf(farm.addresses[0]!, farm);
  const http = targetOf(farm.httpUrls[0]!, farm);
  await serveHonest(farm, async () => {
    await fetchHealth(farm);
  });
  const before = sizeOfProcess(farm.coordinator.pid);
  let mostBytes = 0;
  const served = await serveHonest(farm, async () => {
    const { lines, sessions } = attack(grpc, http, farm.nats.token);
    const isGone = (): boolean => {
      mostBytes = Math.max(mostBytes, sizeOfProcess(farm.coordinator.pid).residentBytes);
      return lines.every((line) => !line.isOpen());
    };
    await until('the crowd was sent away', isGone);
    await until('no call is reset without end', () => !sessions.at(-1)!.isOpen());
    for (const { session } of sessions) session.destroy();
  });
  expect(served).toBeGreaterThan(1);
  expect(mostBytes - before.residentBytes).toBeLessThan(MOST_GROWTH_BYTES);
  await until('all files are closed again', () => {
    return sizeOfProcess(farm.coordinator.pid).openFiles <= before.openFiles + 5;
  });
  expect(farm.coordinator.isRunning).toBe(true);
});

test('headers and messages that are too large are refused as such', async () => {
  const farm = await startFarm();
  const http = targetOf(farm.httpUrls[0]!, farm);
  const line = secureLine(http);
  line.socket.write(`GET /healthz HTTP/1.1\r\nhost: x\r\nx-large: ${'a'.repeat(MIB)}\r\n\r\n`);
  await until('the header was refused', () => !line.isOpen());
  expect(line.heard()).toMatch(/^HTTP\/1\.1 431 /);
  const hostile = hostileSession(targetOf(farm.addresses[0]!, farm));
  const stream = hostile.call('/furrow.v1.JobService/SubmitJob', farm.nats.token);
  let trailers: Record<string, unknown> = {};
  stream.on('response', (headers) => (trailers = { ...trailers, ...headers }));
  stream.on('trailers', (headers) => (trailers = { ...trailers, ...headers }));
  stream.resume();
  stream.write(framed(Buffer.alloc(64 * 1024), 64 * MIB));
  await until('the message was refused', () => trailers['grpc-status'] === '8');
  expect(farm.coordinator.isRunning).toBe(true);
});

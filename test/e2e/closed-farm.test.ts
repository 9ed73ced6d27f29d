/** A farm as it is from its first start: what an agent's credentials open, by raw NATS and HTTP, and until when. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Metadata } from '@grpc/grpc-js';
import { connect, Events, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Joined } from '../../agent/joined.ts';
import { channelCredentialsFor, channelOptionsFor } from '../../kit/channel-trust.ts';
import { sendRequest } from '../../kit/http-request.ts';
import { natsAuthOptions } from '../../kit/nats-auth.ts';
import type { Trust } from '../../kit/trust.ts';
import {
  AgentServiceClient,
  type EnrolAgentResponse,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import { until } from '../support/farm.ts';
import { startUpFarm, type UpFarm } from '../support/up-farm.ts';

const CLI = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

const CREDENTIALS_MS = 20_000;

let farm: UpFarm;
let startedMs: number;
let den: string;
let joined: Joined;
/** Of the agent that `furrow up` runs. */
let otherId: string;

beforeAll(async () => {
  // As short as they may be: they are renewed several times while these tests run.
  const settings = { FURROW_AGENT_CREDENTIALS_MS: String(CREDENTIALS_MS) };
  startedMs = performance.now();
  farm = await startUpFarm({ agents: 1, environment: settings });
  den = mkdtempSync(join(tmpdir(), 'furrow-den-'));
  const { stdout } = await farm.cli(['--json', 'agent', 'invite']);
  const { url } = JSON.parse(stdout) as { url: string };
  const environment = { ...process.env, FURROW_HOME: den };
  const join1 = await farm.cli(['join', '--url-file', '-', '--name', 'den'], {
    environment,
    stdin: url,
  });
  if (join1.exitCode !== 0) throw new Error(join1.stderr);
  joined = JSON.parse(readFileSync(join(den, 'agents', 'den', 'joined.json'), 'utf8')) as Joined;
  const { stdout: listed } = await farm.cli(['agents', '--json']);
  const { agents } = JSON.parse(listed) as { agents: { id: string }[] };
  otherId = agents[0]!.id;
}, 120_000);

afterAll(async () => {
  await farm.close();
  rmSync(den, { recursive: true, force: true });
});

const agentId = (): string => readFileSync(join(den, 'agents', 'den', 'agent-id'), 'utf8').trim();

function enrol(): Promise<EnrolAgentResponse> {
  const { farm: address, trust, key } = joined;
  const client = new AgentServiceClient(
    address.split(',')[0]!,
    channelCredentialsFor(trust),
    channelOptionsFor(trust, address),
  );
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${key}`);
  const who = { agentId: agentId(), name: 'den', machineFingerprint: 'den', version: '0.1.0' };
  return new Promise((resolve, reject) => {
    client.enrolAgent({ ...who, seen: undefined }, metadata, (error, response) =>
      error === null ? resolve(response) : reject(error),
    );
  });
}

async function rawNats(enrolment: EnrolAgentResponse): Promise<NatsConnection> {
  const { natsUrls, natsJwt, natsCa, natsServerName } = enrolment;
  const trust: Trust = { state: 'tls', ca: natsCa, serverName: natsServerName };
  const auth = { kind: 'jwt', jwt: () => natsJwt, seed: joined.natsSeed } as const;
  const nats = await connect({
    ...natsAuthOptions(auth, trust),
    servers: [...natsUrls],
    reconnect: false,
    inboxPrefix: `_INBOX.${agentId()}`,
  });
  onTestFinished(() => nats.close());
  return nats;
}

test('files with secrets are readable by their owner only', async () => {
  const secret = [
    join(den, 'agents', 'den', 'joined.json'),
    ...['token', 'farm.json', 'keys/ca-key.pem', 'keys/nats.json', 'keys/server.pem'].map((name) =>
      join(farm.home, name),
    ),
    join(farm.home, 'nats', 'nats-server.conf'),
  ];
  for (const path of secret) expect([path, statSync(path).mode & 0o077]).toEqual([path, 0]);
});

test('NATS lets an agent speak and hear under its own name, and nothing else', async () => {
  const nats = await rawNats(await enrol());
  const violations: string[] = [];
  void (async () => {
    for await (const { type, data } of nats.status()) {
      if (type === Events.Error) violations.push(JSON.stringify(data));
    }
  })();
  const id = agentId();
  const forbidden = [
    '>',
    'furrow.>',
    'furrow.journal',
    `furrow.grant.${otherId}.*`,
    'furrow.grant.*.*',
    'furrow.result.*',
    '_INBOX.>',
    '$SYS.>',
  ];
  for (const subject of forbidden) {
    const heard = new Promise((resolve) => {
      nats.subscribe(subject, { callback: (error) => resolve(error?.message ?? 'a message') });
    });
    expect(`${subject}: ${String(await heard)}`).toMatch(/permissions violation/i);
  }
  nats.subscribe(`furrow.grant.${id}.session`, { callback: () => {} });
  await nats.flush();
  const publishes = [
    'furrow.journal',
    `furrow.result.${otherId}`,
    `furrow.progress.j1.${otherId}`,
    `furrow.log.j1.${otherId}`,
    `furrow.grant.${otherId}.x`,
    '$JS.API.STREAM.LIST',
    '$JS.API.STREAM.DELETE.FURROW_JOURNAL',
    '$JS.API.STREAM.MSG.GET.FURROW_JOURNAL',
    '$KV.FURROW_LEADER.leader',
    'furrow.reign',
  ];
  for (const subject of publishes) {
    const before = violations.length;
    nats.publish(subject, 'x');
    await until(`the violation for ${subject}`, () => violations.length > before);
  }
  // What is its own goes through: the coordinator answers, or takes it in silence.
  const count = violations.length;
  nats.publish(`furrow.progress.j1.${id}`, 'x');
  nats.publish(`furrow.result.${id}`, 'x');
  await nats.flush();
  expect(violations).toHaveLength(count);
});

test('without credentials, or without TLS, NATS lets nobody in', async () => {
  const { natsUrls, natsCa, natsServerName } = await enrol();
  const trust: Trust = { state: 'tls', ca: natsCa, serverName: natsServerName };
  const token = { kind: 'token', token: farm.token } as const;
  const options = { servers: [...natsUrls], reconnect: false };
  await expect(connect({ ...natsAuthOptions(token, trust), ...options })).rejects.toThrow(
    /authorization/i,
  );
  await expect(connect({ ...options, token: farm.token, tls: null })).rejects.toThrow(
    /tls|secure/i,
  );
});

test('HTTP gives an agent nothing that no lease of its names, and takes nothing without one', async () => {
  const sha256 = createHash('sha256').update('a secret film').digest('hex');
  const put = { method: 'PUT', path: `/blobs/${sha256}`, body: Buffer.from('a secret film') };
  const owner = { url: farm.http, token: farm.token, trust: joined.trust };
  expect((await sendRequest(owner, put)).statusCode).toBe(201);
  expect((await sendRequest(owner, { method: 'GET', path: put.path })).statusCode).toBe(200);
  const target = { ...owner, token: joined.key };
  const get = await sendRequest(target, { method: 'GET', path: put.path });
  expect(get.statusCode).toBe(404);
  expect((await sendRequest(target, put)).statusCode).toBe(403);
  const anonymous = { ...owner, token: '' };
  expect((await sendRequest(anonymous, { method: 'GET', path: put.path })).statusCode).toBe(401);
});

test("a token of one owner sees that owner's jobs and films, and no others", async () => {
  const { stdout } = await farm.cli(['token', 'create', '--owner', 'mia', '--json']);
  const { url, secret } = JSON.parse(stdout) as { url: string; secret: string };
  const mine = { ...process.env, FURROW_HOME: den, FURROW_FARM: url };
  const other = await farm.cli(['submit', 'command', '--owner', 'tom', '-q', '--', 'true']);
  const own = await farm.cli(['submit', 'command', '-q', '--', 'true'], { environment: mine });
  expect(own.exitCode).toBe(0);
  const [otherJob, ownJob] = [other.stdout.trim(), own.stdout.trim()];
  const seen = await farm.cli(['jobs', '--all', '--json'], { environment: mine });
  const { jobs } = JSON.parse(seen.stdout) as { jobs: { id: string; owner: string }[] };
  expect(jobs.map(({ id, owner }) => [id, owner])).toEqual([[ownJob, 'mia']]);
  for (const command of ['watch', 'units', 'logs', 'cancel', 'explain', 'fetch', 'pause']) {
    const run = await farm.cli([command, otherJob], { environment: mine });
    expect([command, run.exitCode]).toEqual([command, 6]);
    expect(run.stderr).toContain(`no job ${otherJob}`);
  }
  expect((await farm.cli(['drain', 'den'], { environment: mine })).exitCode).toBe(7);
  const { tokens } = JSON.parse((await farm.cli(['token', '--json'])).stdout) as {
    tokens: { owner: string; id: string; usedAtMs: number }[];
  };
  const used = tokens.find(({ owner }) => owner === 'mia')!;
  expect(used.usedAtMs).toBeGreaterThan(0);
  expect((await farm.cli(['token', 'revoke', used.id])).exitCode).toBe(0);
  const late = await farm.cli(['jobs'], { environment: mine });
  expect(late).toMatchObject({ exitCode: 7 });
  expect(late.stderr).not.toContain(secret);
});

test('a revoked agent is cut off from everything within seconds, and nobody else', async () => {
  const agent = spawn(process.execPath, [CLI, 'agent', '--name', 'den', '--log-level', 'error'], {
    env: { ...process.env, FURROW_HOME: den },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void agent.kill('SIGKILL'));
  let said = '';
  agent.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const stateOf = async (name: string): Promise<string | undefined> => {
    const { stdout } = await farm.cli(['agents', '--json']);
    const { agents } = JSON.parse(stdout) as { agents: { name: string; state: string }[] };
    return agents.find((each) => each.name === name)?.state;
  };
  await until('den is online', async () => (await stateOf('den')) === 'online');
  const enrolment = await enrol().catch(() => undefined);
  // It is in use by the process.
  expect(enrolment).toBeUndefined();
  const revoked = await farm.cli(['agent', 'revoke', 'den']);
  expect(revoked).toMatchObject({ exitCode: 0, stdout: 'agent den is revoked\n' });
  const code = await new Promise((resolve) => agent.once('exit', resolve));
  expect(code).toBe(7);
  expect(said).toContain('was revoked');
  await expect(enrol()).rejects.toMatchObject({ details: expect.stringContaining('revoked') });
  const target = { url: farm.http, token: joined.key, trust: joined.trust };
  const get = await sendRequest(target, { method: 'GET', path: `/blobs/${'a'.repeat(64)}` });
  expect(get.statusCode).toBe(401);
  expect(await stateOf('den')).toBe('revoked');
  const { stdout } = await farm.cli(['agents', '--json']);
  expect(stdout).toContain(otherId);
});

test('credentials that were issued before a revocation open NATS no more', async () => {
  const { stdout } = await farm.cli(['--json', 'agent', 'invite']);
  const { url } = JSON.parse(stdout) as { url: string };
  const environment = { ...process.env, FURROW_HOME: den };
  const again = await farm.cli(['join', url, '--name', 'den'], { environment });
  expect(again).toMatchObject({ exitCode: 0 });
  joined = JSON.parse(readFileSync(join(den, 'agents', 'den', 'joined.json'), 'utf8')) as Joined;
  const enrolment = await enrol();
  const nats = await rawNats(enrolment);
  const closed = nats.closed();
  expect((await farm.cli(['agent', 'revoke', 'den'])).exitCode).toBe(0);
  await closed;
  await expect(rawNats(enrolment)).rejects.toThrow(/authorization|revoked/i);
});

test('credentials for NATS are renewed before they end, and nobody notices', async () => {
  const leftMs = startedMs + CREDENTIALS_MS * 1.5 - performance.now();
  await sleep(Math.max(0, leftMs));
  const run = await farm.cli(['submit', 'command', '-w', '--', 'true']);
  expect(run.exitCode).toBe(0);
  const [name = ''] = readdirSync(join(farm.home, 'agents'));
  const log = readFileSync(join(farm.home, 'agents', name, 'agent.log'), 'utf8');
  expect(log).not.toMatch(/expired|closed the connection/i);
  const nats = readFileSync(join(farm.home, 'nats', 'nats-server.log'), 'utf8');
  expect(nats).not.toMatch(/authentication expired/i);
});

/** Every RPC and every HTTP route of a real coordinator, with every role and with none, over TLS. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Metadata, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator, type RunningCoordinator } from '../../coordinator/coordinator.ts';
import {
  type Action,
  ALLOWED,
  type Caller,
  HTTP_DOORS,
  RPC_DOORS,
} from '../../coordinator/doors.ts';
import { channelCredentialsFor, channelOptionsFor } from '../../kit/channel-trust.ts';
import { decodeErrorDetails, ERROR_DETAILS_KEY } from '../../kit/error-details.ts';
import { readFarmFile, furrowHome, type FarmFile } from '../../kit/furrow-home.ts';
import { sendRequest } from '../../kit/http-request.ts';
import { AgentServiceService } from '../../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceService } from '../../proto/gen/furrow/v1/blob_service.ts';
import {
  FarmServiceClient,
  FarmServiceService,
  Role,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import { AgentServiceClient } from '../../proto/gen/furrow/v1/agent_service.ts';
import { JobServiceService } from '../../proto/gen/furrow/v1/job_service.ts';
import { ModelServiceService } from '../../proto/gen/furrow/v1/model_service.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

let nats: TestNats;
let home: string;
let coordinator: RunningCoordinator;
let farm: FarmFile;
let client: Client;
const tokens = new Map<Caller, string>();
const SERVICES: readonly ServiceDefinition[] = [
  JobServiceService,
  FarmServiceService,
  BlobServiceService,
  AgentServiceService,
  ModelServiceService,
];

beforeAll(async () => {
  nats = await startTestNats();
  home = await mkdtemp(join(tmpdir(), 'furrow-doors-'));
  const { tokenFile, farmFile } = furrowHome(home, {});
  await writeFile(tokenFile, nats.token, { mode: 0o600 });
  const ports = ['--grpc-port', '0', '--http-port', '0', '--failed-login-pause-ms', '0'];
  const argv = ['--home', home, '--nats', nats.url, ...ports];
  coordinator = await startCoordinator(readCoordinatorConfig(argv, {}), pino({ level: 'silent' }));
  farm = (await readFarmFile(farmFile))!;
  const [credentials, options] = [
    channelCredentialsFor(farm.trust),
    channelOptionsFor(farm.trust, farm.grpc),
  ];
  client = new Client(farm.grpc, credentials, options);
  const farmService = new FarmServiceClient(farm.grpc, credentials, options);
  const roles = {
    admin: Role.ROLE_ADMIN,
    submit: Role.ROLE_SUBMIT,
    view: Role.ROLE_VIEW,
    agent: Role.ROLE_AGENT,
  };
  for (const [name, role] of Object.entries(roles)) {
    const request = { role, owner: '', label: name, expiresAtMs: 0 };
    const secret = await new Promise<string>((resolve, reject) => {
      farmService.createToken(request, bearer(nats.token), (error, answer) =>
        error === null ? resolve(answer.secret) : reject(error),
      );
    });
    tokens.set(name as Caller, secret);
  }
  const agents = new AgentServiceClient(farm.grpc, credentials, options);
  const who = { agentId: 'den-1', name: 'den', natsPublicKey: `U${'A'.repeat(55)}` };
  const key = await new Promise<string>((resolve, reject) => {
    agents.joinAgent(who, bearer(tokens.get('agent')), (error, answer) =>
      error === null ? resolve(answer.key) : reject(error),
    );
  });
  tokens.set('agent-key', key);
  farmService.close();
  agents.close();
});

afterAll(async () => {
  client.close();
  await coordinator.close();
  await nats.close();
  await rm(home, { recursive: true, force: true });
});

function bearer(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** How a call that says nothing of use ends: its gRPC status, or ROLE_TOO_LOW. */
function endOf(path: string, token: string | undefined): Promise<number | 'ROLE_TOO_LOW'> {
  return new Promise((resolve) => {
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(
      path,
      (bytes) => bytes,
      (bytes) => bytes,
      bearer(token),
      { deadline: Date.now() + 20_000 },
    );
    // Whoever gets in and waits for more was let in.
    const waits = setTimeout(() => call.cancel(), 300);
    call.on('data', () => {});
    call.on('error', (error: ServiceError) => {
      clearTimeout(waits);
      const details = error.metadata.get(ERROR_DETAILS_KEY)[0];
      const info = details instanceof Buffer ? decodeErrorDetails(details) : undefined;
      resolve(info?.reason === 'ROLE_TOO_LOW' ? 'ROLE_TOO_LOW' : error.code);
    });
    call.on('status', ({ code }: { code: number }) => {
      clearTimeout(waits);
      resolve(code);
    });
    call.write(Buffer.alloc(0));
    call.end();
  });
}

const CALLERS: readonly Caller[] = ['admin', 'submit', 'view', 'agent', 'agent-key'];

test('every RPC that is served stands in the table', () => {
  const served = SERVICES.flatMap((service) => Object.values(service).map(({ path }) => path));
  const guarded = Object.entries(RPC_DOORS).filter(([, action]) => action !== 'open');
  expect(guarded.map(([path]) => path).toSorted()).toEqual(served.toSorted());
});

const doorsOf = (doors: object, isOpen: boolean): [string, Action][] =>
  Object.entries(doors).filter(([, action]) => (action === 'open') === isOpen) as never;

test.each(doorsOf(RPC_DOORS, true))('%s lets everybody in', async (path) => {
  expect(await endOf(path, undefined)).not.toBe(status.UNAUTHENTICATED);
});

test.each(doorsOf(RPC_DOORS, false))('%s (%s)', async (path, action) => {
  expect(await endOf(path, undefined)).toBe(status.UNAUTHENTICATED);
  expect(await endOf(path, 'wrong')).toBe(status.UNAUTHENTICATED);
  for (const caller of CALLERS) {
    const end = await endOf(path, tokens.get(caller));
    expect(end).not.toBe(status.UNAUTHENTICATED);
    const isAllowed = ALLOWED[action].includes(caller);
    expect([caller, end === 'ROLE_TOO_LOW']).toEqual([caller, !isAllowed]);
  }
});

/** Status, and reason if there is one: the answer to HEAD has no body. */
async function askAt(
  door: string,
  token: string,
): Promise<{ readonly status: number; readonly reason: string }> {
  const [method = '', pattern = ''] = door.split(' ');
  const path = pattern.replace('SHA256', 'a'.repeat(64)).replace('ID', 'b'.repeat(32));
  const target = { url: farm.http, token, trust: farm.trust };
  const response = await sendRequest(target, { method, path, body: Buffer.alloc(0) });
  let text = '';
  for await (const chunk of response) text += String(chunk);
  const { reason = '' } = text.startsWith('{') ? (JSON.parse(text) as { reason?: string }) : {};
  return { status: response.statusCode ?? 0, reason };
}

test.each(doorsOf(HTTP_DOORS, true))('%s lets everybody in', async (door) => {
  expect((await askAt(door, 'wrong')).status).toBe(200);
});

test.each(doorsOf(HTTP_DOORS, false))('%s (%s)', async (door, action) => {
  expect((await askAt(door, 'wrong')).status).toBe(401);
  for (const caller of CALLERS) {
    const answer = await askAt(door, tokens.get(caller)!);
    const isAllowed = ALLOWED[action].includes(caller);
    // One that holds no lease has nothing to hand in, and nothing to read: 403 and 404.
    const isOut = door.startsWith('HEAD') && caller === 'agent-key' ? !isAllowed : undefined;
    const isTooLow = answer.reason === 'ROLE_TOO_LOW' || answer.status === 403;
    expect([caller, isOut ?? (isTooLow && answer.reason !== 'NO_LEASE')]).toEqual([
      caller,
      !isAllowed,
    ]);
  }
});

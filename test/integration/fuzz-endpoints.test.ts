/**
 * Every door of a running coordinator, with whatever a client may send: it answers, never with an error of
 * its own, and lives on; and what it took into its journal can be read again.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import type { NatsConnection } from 'nats';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/coordinator.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import {
  AdvertiseRequest,
  AgentServiceService,
  EnrolAgentRequest,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceService } from '../../proto/gen/furrow/v1/blob_service.ts';
import { FarmServiceService } from '../../proto/gen/furrow/v1/farm_service.ts';
import { ModelServiceService } from '../../proto/gen/furrow/v1/model_service.ts';
import { JobServiceService, SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { arbitraryMessage } from '../support/arbitrary-message.ts';
import { damaged, damagedText, fuzzOptions, FUZZ_TIMEOUT_MS } from '../support/fuzz.ts';
import { GrpcCaller } from '../support/grpc-calls.ts';
import { framed, plainLine } from '../support/hostile.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

let nats: TestNats;
let home: string;
let coordinator: RunningCoordinator;
let natsConnection: NatsConnection;
/** Messages of errors that the coordinator logged as its own. */
const faults: string[] = [];

const log = pino(
  { level: 'error', base: null },
  { write: (line: string) => void faults.push(line) },
);

function start(): Promise<RunningCoordinator> {
  const ports = ['--grpc-port', '0', '--http-port', '0', '--failed-login-pause-ms', '0'];
  const argv = ['--home', home, '--nats', nats.url, '--plaintext', ...ports];
  return startCoordinator(readCoordinatorConfig(argv, {}), log);
}

beforeAll(async () => {
  nats = await startTestNats();
  home = await mkdtemp(join(tmpdir(), 'furrow-fuzz-'));
  await writeFile(join(home, 'token'), nats.token, { mode: 0o600 });
  coordinator = await start();
  natsConnection = await nats.connect('fuzz');
});

afterAll(async () => {
  await coordinator.close();
  await nats.close();
  await rm(home, { recursive: true, force: true });
});

async function expectAlive(): Promise<void> {
  const caller = new GrpcCaller(coordinator.grpcAddress, nats.token);
  try {
    await caller.call(caller.farm.listAgents.bind(caller.farm), {});
  } finally {
    caller.close();
  }
  expect(faults.splice(0)).toEqual([]);
}

const SERVICES = [
  JobServiceService,
  AgentServiceService,
  FarmServiceService,
  BlobServiceService,
  ModelServiceService,
];
const METHODS = SERVICES.flatMap((service) => Object.values(service));
const JOB: object = {
  name: 'job',
  work: {
    $case: 'steps',
    value: {
      steps: [
        {
          name: 'step',
          parameters: { kind: { $case: 'count', value: 3 } },
          task: { kind: { $case: 'command', value: { argv: ['true'] } } },
        },
      ],
    },
  },
};
const STEPS = SubmitJobRequest.encode(SubmitJobRequest.fromPartial(JOB)).finish();
const AGENT = { agentId: 'agent-1', session: 'session-1' };
const ENROL = { agentId: 'agent-1', name: 'agent', version: '1', machineFingerprint: 'm' };
/** What is taken, so that what is nearly so gets further than the first check. */
const VALID: Readonly<Record<string, readonly Uint8Array[]>> = {
  SubmitJob: [STEPS],
  EnrolAgent: [EnrolAgentRequest.encode(EnrolAgentRequest.fromPartial(ENROL)).finish()],
  Advertise: [
    AdvertiseRequest.encode(AdvertiseRequest.fromPartial({ ...AGENT, beat: 1 })).finish(),
  ],
};
/** Streams that go on are left after so long. */
const CALL_MS = 300;

/** Whatever the call's kind, on the wire it is a stream each way. */
function callWith(
  client: Client,
  path: string,
  messages: readonly Uint8Array[],
): Promise<ServiceError | undefined> {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${nats.token}`);
  const call = client.makeBidiStreamRequest(
    path,
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => bytes,
    metadata,
    { deadline: Date.now() + CALL_MS },
  );
  return new Promise((resolve) => {
    call.on('data', () => {});
    call.on('end', () => resolve(undefined));
    call.on('error', (error: ServiceError) => resolve(error));
    for (const message of messages) call.write(Buffer.from(message));
    call.end();
  });
}

/** grpc-js says INTERNAL of bytes that are no message, as all of gRPC does. */
const NO_MESSAGE = /deserializing request/;
const FAULTS = new Set<number>([status.INTERNAL, status.UNKNOWN, status.UNAVAILABLE]);

function isFault(error: ServiceError | undefined): boolean {
  return error !== undefined && FAULTS.has(error.code) && !NO_MESSAGE.test(error.details);
}

test(
  'gRPC: any values in any message of any RPC',
  async () => {
    const client = new Client(coordinator.grpcAddress, credentials.createInsecure());
    const calls = fc.constantFrom(...METHODS).chain((method) => {
      const service = method.path.split('/')[1]!.replace(/\.\w+$/, '');
      const name = method.path.split('/')[2]!;
      const message = fc.oneof(
        arbitraryMessage(`${service}.${name}Request`),
        fc.constantFrom(...(VALID[name] ?? [new Uint8Array()])),
      );
      const messages = fc.array(fc.oneof({ weight: 5, arbitrary: message }, damaged(message)), {
        minLength: 1,
        maxLength: method.requestStream ? 4 : 1,
      });
      return messages.map((sent) => ({ path: method.path, sent }));
    });
    await fc.assert(
      fc.asyncProperty(fc.array(calls, { minLength: 25, maxLength: 25 }), async (batch) => {
        const errors = await Promise.all(
          batch.map(async ({ path, sent }) => ({
            path,
            error: await callWith(client, path, sent),
          })),
        );
        const faulty = errors.filter(({ error }) => isFault(error));
        expect(faulty.map(({ path, error }) => `${path}: ${error?.message}`)).toEqual([]);
        await expectAlive();
      }),
      {
        ...(fuzzOptions(20) as fc.Parameters<[{ path: string; sent: Uint8Array[] }[]]>),
        endOnFailure: true,
      },
    );
    client.close();
  },
  FUZZ_TIMEOUT_MS,
);

const headerText = fc.oneof(
  damagedText('application/grpc', '1S', 'gzip', '/furrow.v1.FarmService/GetFarm').map((text) =>
    text
      .replace(/[^\x20-\x7e]/g, '?')
      .trim()
      .slice(0, 500),
  ),
  fc.constantFrom('', '99999999H', '-1S', 'identity', 'snappy', '%ff', 'https://', '//', '/..'),
);

test(
  'gRPC: any headers, and bodies that are no messages',
  async () => {
    const requests = fc.record({
      path: fc.oneof(
        fc.constantFrom(...METHODS.map(({ path }) => path)),
        headerText.map((text) => `/${text}`),
      ),
      headers: fc.dictionary(
        fc.constantFrom(
          'content-type',
          'grpc-timeout',
          'grpc-encoding',
          'x-odd-bin',
          'authorization',
          'grpc-accept-encoding',
        ),
        headerText,
      ),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
        fc.uint8Array({ maxLength: 50 }).map((bytes) => framed(bytes)),
        fc.constantFrom(framed(Buffer.alloc(3), 2 ** 32 - 1), Buffer.of(1, 0, 0, 0, 2, 9, 9)),
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 20, maxLength: 20 }), async (batch) => {
        const session = connectHttp2(`http://${coordinator.grpcAddress}`);
        session.on('error', () => {});
        await Promise.all(
          batch.map(
            ({ path, headers, body }) =>
              new Promise<void>((resolve) => {
                const stream = session.request({
                  ':method': 'POST',
                  ':path': path,
                  'content-type': 'application/grpc',
                  authorization: `Bearer ${nats.token}`,
                  ...headers,
                });
                const timer = setTimeout(() => stream.close(), CALL_MS);
                stream.on('error', () => {});
                stream.on('close', () => {
                  clearTimeout(timer);
                  resolve();
                });
                stream.resume().end(body);
              }),
          ),
        );
        session.destroy();
        await expectAlive();
      }),
      { ...(fuzzOptions(20) as object), endOnFailure: true },
    );
  },
  FUZZ_TIMEOUT_MS,
);

const SHA = '0'.repeat(64);

test(
  'HTTP: any method, path, headers and body',
  async () => {
    const words = damagedText(`/blobs/${SHA}`, `/uploads/${'0'.repeat(32)}`, '/blobs/missing');
    const requests = fc.record({
      method: fc.constantFrom(
        'GET',
        'HEAD',
        'PUT',
        'POST',
        'PATCH',
        'DELETE',
        'OPTIONS',
        'TRACE',
        'X',
      ),
      path: fc.oneof(
        fc.constantFrom(`/blobs/${SHA}`, '/blobs/missing', '/uploads', `/blobs/${SHA}/verify`),
        fc.constantFrom(`/uploads/${'0'.repeat(32)}`, '/healthz', '*', '/%', 'http://x/blobs'),
        words.map((text) => text.replace(/[\s\0]/g, '').slice(0, 2_000)),
      ),
      headers: fc.dictionary(
        fc.constantFrom(
          'range',
          'if-range',
          'upload-length',
          'upload-metadata',
          'upload-offset',
          'upload-defer-length',
          'upload-concat',
          'tus-resumable',
          'content-type',
          'x-furrow-purpose',
          'x-http-method-override',
          'expect',
          'x-forwarded-host',
          'origin',
        ),
        fc.oneof(
          fc.constantFrom('1.0.0', '0', '5', '-1', '99999999999999999999', 'result', 'final;/a'),
          fc.constantFrom('bytes=0-5', 'application/offset+octet-stream', '100-continue', 'PATCH'),
          fc.constantFrom(`sha256 ${Buffer.from(SHA).toString('base64')}`, 'sha256', 'sha256 ,a b'),
          damagedText('bytes=0-9', 'sha256 YQ==').map((text) => text.replace(/[\r\n\0]/g, '')),
        ),
      ),
      body: fc.oneof(
        fc.constantFrom('', '{}', '[]', '{"sha256":[]}', `{"sha256":["${SHA}"]}`, '{"sha256":[1]}'),
        fc.string({ maxLength: 50 }),
      ),
      hasToken: fc.constantFrom(true, true, true, false),
    });
    const target = { host: '127.0.0.1', port: coordinator.httpPort, trust: PLAINTEXT };
    await fc.assert(
      fc.asyncProperty(fc.array(requests, { minLength: 20, maxLength: 20 }), async (batch) => {
        const answers = await Promise.all(
          batch.map(async ({ method, path, headers, body, hasToken }) => {
            const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
            if (hasToken) lines.push(`authorization: Bearer ${nats.token}`);
            const length = Buffer.byteLength(body);
            const head = [`${method} ${path} HTTP/1.1`, 'host: x', 'connection: close', ...lines];
            const line = plainLine(target);
            const text = `${head.join('\r\n')}\r\ncontent-length: ${length}\r\n\r\n${body}`;
            line.socket.end(text, 'latin1');
            await new Promise((resolve) => line.socket.once('close', resolve));
            return { text, heard: line.heard() };
          }),
        );
        const faulty = answers.filter(({ heard }) => /^HTTP\/1\.1 50[012] /.test(heard));
        expect(faulty).toEqual([]);
        await expectAlive();
      }),
      { ...(fuzzOptions(40) as object), endOnFailure: true },
    );
  },
  FUZZ_TIMEOUT_MS,
);

const FRAME_TYPE_AT = 3;
const SETTINGS = 4;

test(
  'bytes that are neither HTTP nor HTTP/2, on either port',
  async () => {
    const grpcPort = coordinator.grpcPort;
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    for (const port of [grpcPort, coordinator.httpPort]) {
      const target = { host: '127.0.0.1', port, trust: PLAINTEXT };
      const lines = Array.from({ length: 60 }, (_, index) => {
        const line = plainLine(target);
        const noise = randomBytes(1 + index * 20);
        // By chance it would begin as HTTP/2 does: who does so has two minutes to show a token.
        if (noise[FRAME_TYPE_AT] === SETTINGS) noise[FRAME_TYPE_AT] = SETTINGS + 1;
        line.socket.end(index % 2 === 0 ? noise : Buffer.concat([preface, noise]));
        return line;
      });
      await expect
        .poll(() => lines.every((line) => !line.isOpen()), { timeout: 15_000 })
        .toBe(true);
    }
    await expectAlive();
  },
  FUZZ_TIMEOUT_MS,
);

const WORK = [
  ['furrow.result.agent-1', 'ResultBatch'],
  ['furrow.result.a b', 'ResultBatch'],
  ['furrow.checkpoint.agent-1', 'Checkpoint'],
  ['furrow.progress.j1.agent-1', 'Progress'],
  ['furrow.progress.zz.agent-1.more', 'Progress'],
  ['furrow.log.j1.agent-1', 'LogLines'],
  ['furrow.reign', 'Reign'],
] as const;

test(
  'NATS: any message on any subject of the work plane',
  async () => {
    const messages = fc.constantFrom(...WORK).chain(([subject, type]) => {
      const message = arbitraryMessage(`furrow.work.v1.${type}`);
      return fc
        .oneof({ weight: 3, arbitrary: message }, damaged(message))
        .map((bytes) => ({ subject: subject.replace(' ', '_'), bytes }));
    });
    await fc.assert(
      fc.asyncProperty(fc.array(messages, { minLength: 40, maxLength: 40 }), async (batch) => {
        for (const { subject, bytes } of batch) {
          natsConnection.publish(subject, bytes, { reply: 'furrow.fuzz.reply' });
        }
        await natsConnection.flush();
        await expectAlive();
      }),
      { ...(fuzzOptions(30) as object), endOnFailure: true },
    );
  },
  FUZZ_TIMEOUT_MS,
);

test('what all of it left in the journal can be read again', async () => {
  await coordinator.close();
  coordinator = await start();
  await expectAlive();
});

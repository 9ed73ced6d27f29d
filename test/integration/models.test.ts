/** The farm's models by the CLI against a real coordinator: kept, shown, refused, removed. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator, type RunningCoordinator } from '../../coordinator/coordinator.ts';
import { type LineRun, runCliLine } from '../support/cli-line.ts';
import { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import { GrpcCaller, refusalOf } from '../support/grpc-calls.ts';
import { startTestNats, type TestNats } from '../support/nats-server.ts';

let nats: TestNats;
let home: string;
let coordinator: RunningCoordinator;
let web: Server;
let webUrl: string;

/** Begins as ONNX files do: the version of the format. */
/** Laid out as a model is, with a graph of 100,000 bytes that nobody here reads. */
const MODEL = Buffer.concat([
  Buffer.from([0x08, 0x09, 0x3a, 0xa0, 0x8d, 0x06]),
  randomBytes(100_000),
]);
const SHA256 = createHash('sha256').update(MODEL).digest('hex');
const MANIFEST = { kind: 'upscale', licence: 'MIT', scale: 4, halo: 18 };

const PAGES: Readonly<Record<string, { status?: number; location?: string; body?: Buffer }>> = {
  '/m/x4.onnx': { body: MODEL },
  '/page.onnx': { body: Buffer.from('<!DOCTYPE html><html>a page</html>') },
  '/moved.onnx': { status: 302, location: '/m/x4.onnx' },
  '/round.onnx': { status: 302, location: '/round.onnx' },
};

beforeAll(async () => {
  nats = await startTestNats();
  home = await mkdtemp(join(tmpdir(), 'furrow-models-'));
  await writeFile(join(home, 'token'), nats.token, { mode: 0o600 });
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const argv = ['--home', home, '--nats', nats.url, '--plaintext', ...ports];
  coordinator = await startCoordinator(readCoordinatorConfig(argv, {}), pino({ level: 'silent' }));
  web = createServer((request, response) => {
    const { status = 200, location, body } = PAGES[request.url ?? ''] ?? { status: 404 };
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  webUrl = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  await writeFile(join(home, 'x4.onnx'), MODEL);
  await writeFile(join(home, 'x4.json'), JSON.stringify(MANIFEST));
});

afterAll(async () => {
  web.close();
  await coordinator.close();
  await nats.close();
  await rm(home, { recursive: true, force: true });
});

const models = (...argv: string[]): Promise<LineRun> =>
  runCliLine(['models', ...argv], { ...process.env, FURROW_HOME: home });
const add = (source: string, ...more: string[]): Promise<LineRun> =>
  models('add', source, '--manifest', join(home, 'x4.json'), ...more);

test('a model is added, listed, shown, replaced when that is said, and removed', async () => {
  const added = await add(join(home, 'x4.onnx'), '--sha256', SHA256.toUpperCase());
  expect(added).toMatchObject({ exitCode: 0, stderr: '' });
  expect(added.stdout).toContain(SHA256);
  expect((await models()).stdout).toMatch(/x4 +upscale ×4 +98 KiB +[0-9a-f]{12}.*MIT/);
  const shown = JSON.parse((await models('show', 'x4', '--json')).stdout) as object;
  expect(shown).toMatchObject({
    model: {
      name: 'x4',
      file: { name: 'x4.onnx', sha256: SHA256, sizeBytes: MODEL.length },
      manifest: { ...MANIFEST, mean: [0], deviation: [255], channels: 'rgb' },
    },
  });
  expect(await add(join(home, 'x4.onnx'))).toMatchObject({ exitCode: 0 });
  const other = join(home, 'other.json');
  await writeFile(other, JSON.stringify({ ...MANIFEST, halo: 20 }));
  const again = ['add', join(home, 'x4.onnx'), '--manifest', other];
  expect((await models(...again)).stderr).toContain('--replace');
  expect(await models(...again, '--replace')).toMatchObject({ exitCode: 0 });
  expect((await models('remove', 'x4')).stdout).toBe('model x4 is removed\n');
  expect((await models('show', 'x4')).stderr).toContain('the farm has none');
  expect((await models('remove', 'x4')).stderr).toContain('no model has the name "x4"');
});

test('a job that was accepted is known by its client id, whatever became of its model', async () => {
  const pair = { kind: 'interpolate', licence: 'MIT', pairLayout: 'split', timestep: 'scalar' };
  await writeFile(join(home, 'pair.json'), JSON.stringify(pair));
  const manifest = ['--manifest', join(home, 'pair.json'), '--name', 'rife'];
  expect(await models('add', join(home, 'x4.onnx'), ...manifest)).toMatchObject({ exitCode: 0 });
  const source = { name: 'clip.mp4', sha256: SHA256, sizeBytes: MODEL.length };
  const caller = new GrpcCaller(coordinator.grpcAddress, nats.token);
  const submit = (clientId: string) => {
    const work = { $case: 'interpolate', value: { source, model: 'rife' } } as const;
    const request = SubmitJobRequest.fromPartial({ clientId, work });
    return caller.call(caller.jobs.submitJob.bind(caller.jobs), request);
  };
  try {
    expect(await submit('once')).toMatchObject({ alreadySubmitted: false, job: { id: 'j1' } });
    await models('remove', 'rife');
    expect(await submit('once')).toMatchObject({ alreadySubmitted: true, job: { id: 'j1' } });
    const line = 'the farm has no model named "rife"';
    expect((await refusalOf(submit('twice'))).message).toContain(line);
  } finally {
    caller.close();
  }
});

test('one from an address is fetched, under the name that it has there', async () => {
  const run = await add(`${webUrl}/moved.onnx`, '--allow-http', '--name', 'web', '--json');
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.stdout)).toMatchObject({
    model: { name: 'web', file: { sha256: SHA256 } },
  });
  await models('remove', 'web');
});

describe('what is no model, or another one, is refused in one line', () => {
  const named = (name: string): string => join(home, name);
  test.each<[what: string, source: () => string, more: string[], line: string]>([
    [
      'a web page',
      () => `${webUrl}/page.onnx`,
      ['--allow-http'],
      'is a web page; give the address',
    ],
    ['plain http', () => `${webUrl}/m/x4.onnx`, [], 'is not https'],
    ['nothing there', () => `${webUrl}/no.onnx`, ['--allow-http'], 'HTTP status 404'],
    ['a circle', () => `${webUrl}/round.onnx`, ['--allow-http'], 'more than 5 redirects'],
    [
      'too large',
      () => `${webUrl}/m/x4.onnx`,
      ['--allow-http', '--max-size', '1KiB'],
      '--max-size',
    ],
    ['another file', () => named('x4.onnx'), ['--sha256', 'f'.repeat(64)], 'is another file'],
    ['a pointer', () => named('pointer.onnx'), [], 'a Git LFS pointer; fetch the file'],
    ['a checkpoint', () => named('net.pth'), [], 'export the network to ONNX'],
    ['a film', () => named('film.onnx'), [], 'is no ONNX model: it is of another format'],
    ['half a model', () => named('half.onnx'), [], 'is no ONNX model: it is cut short'],
    ['a name', () => named('x4.onnx'), ['--name', 'a b'], 'model name "a b"'],
    ['no file', () => named('none.onnx'), [], 'there is no file'],
  ])('%s', async (_what, source, more, line) => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${SHA256}\nsize 9\n`;
    await writeFile(named('pointer.onnx'), pointer);
    await writeFile(named('film.onnx'), '\0\0\0\u0020ftypisom\0\0\u0002\0');
    await writeFile(named('half.onnx'), MODEL.subarray(0, 50_000));
    await writeFile(named('net.pth'), 'PK\u0003\u0004 and so on');
    const run = await add(source(), ...more);
    expect(run.exitCode).not.toBe(0);
    expect(run.stderr).toContain(line);
    expect(run.stderr.trim().split('\n')).toHaveLength(1);
    expect((await models('list', '--json')).stdout).toBe('{"models":[]}\n');
  });

  test('a manifest with a fault names the field', async () => {
    await writeFile(named('bad.json'), JSON.stringify({ ...MANIFEST, scale: 40 }));
    const run = await models('add', named('x4.onnx'), '--manifest', named('bad.json'));
    expect(run.stderr).toContain('scale must be a whole number from 2 to 8');
    expect((await models('add', named('x4.onnx'))).stderr).toContain('give --manifest FILE.json');
  });
});

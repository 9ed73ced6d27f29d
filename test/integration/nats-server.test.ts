import { PLAINTEXT } from '../../kit/trust.ts';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findNatsServer } from '../../cli/up/nats-binary.ts';
import { startNatsServer, type NatsServer } from '../../cli/up/nats-server.ts';
import { createLog } from '../../kit/log.ts';
import { connectNats } from '../../kit/nats-connection.ts';
import { isRunning, processStart } from '../../kit/process-identity.ts';

const TOKEN = 'nats-server-test-token';
const log = createLog({ role: 'test', level: 'silent' });
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'furrow-up-'));
  cleanUps.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

const findBinary = () => findNatsServer(join(import.meta.dirname, '..', '..'), process.env);

async function start(directory: string, port = 0, program?: string): Promise<NatsServer> {
  const found = await findBinary();
  const binary = { ...found, path: program ?? found.path };
  const auth = { kind: 'token', token: TOKEN } as const;
  const who = { auth, monitorSecret: TOKEN, own: { auth, trust: PLAINTEXT } };
  const options = { binary, directory, ...who, port, monitorPort: 0, log };
  const server = await startNatsServer({ ...options, maxFileStoreBytes: undefined });
  cleanUps.push(() => server.stop(0));
  return server;
}

describe('the private nats-server', () => {
  test('answers the holder of the token and nobody else', async () => {
    const directory = await newDirectory();
    const server = await start(directory);
    const nats = await connectNats({
      servers: [server.url],
      auth: { kind: 'token', token: TOKEN },
      name: 'test',
    });
    cleanUps.push(() => nats.close());
    expect(nats.info?.jetstream).toBe(true);
    const stranger = connectNats({
      servers: [server.url],
      auth: { kind: 'token', token: 'other' },
      name: 'test',
    });
    await expect(stranger).rejects.toMatchObject({ reason: 'NATS_TOKEN_REFUSED' });
    const outside = await fetch(`http://127.0.0.1:${server.monitorPort}/varz`);
    expect(outside.status).toBe(404);
    const config = await stat(join(directory, 'nats-server.conf'));
    expect(config.mode & 0o777).toBe(0o600);
  });

  test('stop ends the process', async () => {
    const server = await start(await newDirectory());
    await server.stop(5_000);
    expect(processStart(server.pid)).toBeUndefined();
    // In order, not by SIGKILL; 2.10 says 1 then, later versions 0.
    expect(await server.exited).toMatchObject({ signal: null });
  });

  test('a port in use is a clear error', async () => {
    const first = await start(await newDirectory());
    const second = start(await newDirectory(), first.port);
    await expect(second).rejects.toMatchObject({
      reason: 'PORT_IN_USE',
      message: expect.stringContaining(String(first.port)),
    });
  });

  test('where somebody took the free port first it takes another one', async () => {
    const directory = await newDirectory();
    const { path } = await findBinary();
    // As nats-server does where it comes too late, once.
    const late = join(directory, 'late-nats-server');
    const said = '[FTL] Error listening on port: 127.0.0.1:1, "bind: address already in use"';
    const script = `[ -e ${late}.was ] || { : >${late}.was; echo '${said}'; exit 1; }; exec ${path} "$@"`;
    await writeFile(late, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const server = await start(directory, 0, late);
    expect(processStart(server.pid)).toBeDefined();
  });

  test('a server that a killed run left is ended before the new one starts', async () => {
    const directory = await newDirectory();
    const orphan = await start(directory);
    await disown(directory, { pid: 2 ** 22 + 1, start: 'gone' });
    const next = await start(directory);
    expect(processStart(orphan.pid)).toBeUndefined();
    expect(next.pid).not.toBe(orphan.pid);
  });

  test('a server of a furrow up that still runs is left alone', async () => {
    const directory = await newDirectory();
    const server = await start(directory);
    const owner = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
    cleanUps.push(async () => owner.kill('SIGKILL'));
    const ownerPid = owner.pid ?? 0;
    await disown(directory, { pid: ownerPid, start: processStart(ownerPid) ?? '' });
    const start2 = processStart(server.pid) ?? '';
    await expect(start(directory)).rejects.toMatchObject({ reason: 'NATS_OWNED' });
    expect(isRunning(server.pid, start2)).toBe(true);
  });
});

/** Makes the record say that another process started the server. */
async function disown(directory: string, owner: { pid: number; start: string }): Promise<void> {
  const path = join(directory, 'process.json');
  const record = JSON.parse(await readFile(path, 'utf8')) as object;
  const other = { ...record, ownerPid: owner.pid, ownerStart: owner.start };
  await writeFile(path, JSON.stringify(other));
}

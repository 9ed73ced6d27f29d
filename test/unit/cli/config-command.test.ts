/** `furrow config show`: each role's settings, and where each is from. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { readAgentConfig } from '../../../agent/config.ts';
import { writeJoined } from '../../../agent/joined.ts';
import { readCoordinatorConfig } from '../../../coordinator/config.ts';
import { PLAINTEXT } from '../../../kit/trust.ts';
import { temporaryFolder } from '../../support/blobs.ts';
import { runCliLine, type LineRun } from '../../support/cli-line.ts';

const TOKEN = 's'.repeat(43);
let home: string;

beforeEach(async () => {
  home = await temporaryFolder();
});

const run = (line: string, more: NodeJS.ProcessEnv = {}): Promise<LineRun> =>
  runCliLine(line.split(' '), { FURROW_HOME: home, ...more });

/** By name: value and source. */
async function shown(line: string, more: NodeJS.ProcessEnv = {}) {
  const { exitCode, stdout, stderr } = await run(
    `${line} --json`.replace(/ -- (.*) --json/, ' --json -- $1'),
    more,
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const { settings } = JSON.parse(stdout) as {
    settings: { name: string; value: unknown; from: { kind: string; name: string } }[];
  };
  return Object.fromEntries(settings.map(({ name, value, from }) => [name, { value, from }]));
}

async function configFile(folder: string, content: object): Promise<string> {
  await mkdir(join(home, folder), { recursive: true });
  const path = join(home, folder, 'config.json');
  await writeFile(path, JSON.stringify(content));
  return path;
}

describe('a coordinator', () => {
  test('flag, environment, file and default, with the values that count', async () => {
    const path = await configFile('coordinator', { grpcPort: 1, httpPort: 2, leaseTtlMs: 30_000 });
    const environment = { FURROW_HTTP_PORT: '3', FURROW_LEASE_TTL_MS: '20000' };
    const flags = ['--lease-ttl-ms', '10000', '--nats', 'nats://u:p@127.0.0.1:1'];
    const all = await shown(`config show --role coordinator -- ${flags.join(' ')}`, environment);
    expect(all).toMatchObject({
      home: { value: home, from: { kind: 'environment', name: 'FURROW_HOME' } },
      'grpc-port': { value: 1, from: { kind: 'file', name: path } },
      'http-port': { value: 3, from: { kind: 'environment', name: 'FURROW_HTTP_PORT' } },
      'lease-ttl-ms': { value: 10_000, from: { kind: 'flag', name: '--lease-ttl-ms' } },
      nats: { value: ['nats://…@127.0.0.1:1'], from: { kind: 'flag', name: '--nats' } },
      // Derived, and so nobody's word.
      'heartbeat-ms': { value: 2_000, from: { kind: 'default', name: '' } },
      token: { value: null, from: { kind: 'default' } },
    });
    const config = readCoordinatorConfig(flags, { FURROW_HOME: home, ...environment });
    expect(config).toMatchObject({ grpcPort: 1, httpPort: 3, leaseTtlMs: 10_000 });
  });

  test('what it would be refused with is refused here', async () => {
    expect(await run('config show --role coordinator -- --grpc-port many')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('grpcPort'),
    });
  });
});

describe('an agent', () => {
  test('flag, environment, file and default; the file cannot rename it', async () => {
    const path = await configFile('agents/den', { name: 'x', cpus: 1, maxUnits: 1, mode: 'idle' });
    const environment = { FURROW_AGENT_MAX_UNITS: '2', FURROW_LOG_LEVEL: 'warn' };
    const line = 'config show --role agent -- --name den --grace 10s --tool blender=blender';
    const all = await shown(line, { ...environment, FURROW_TOKEN: TOKEN });
    expect(all).toMatchObject({
      name: { value: 'den', from: { kind: 'flag', name: '--name' } },
      cpus: { value: 1, from: { kind: 'file', name: path } },
      'max-units': { value: 2, from: { kind: 'environment', name: 'FURROW_AGENT_MAX_UNITS' } },
      'log-level': { value: 'warn', from: { kind: 'environment', name: 'FURROW_LOG_LEVEL' } },
      mode: { value: 'idle', from: { kind: 'file', name: path } },
      grace: { value: '10s', from: { kind: 'flag', name: '--grace' } },
      tools: { value: { blender: ['blender'] }, from: { kind: 'flag', name: '--tool' } },
      ram: { value: 0, from: { kind: 'default' } },
      token: {
        value: 'set (43 characters)',
        from: { kind: 'environment', name: 'FURROW_TOKEN' },
      },
    });
    const config = await readAgentConfig(['--name', 'den', '--tool', 'blender=blender'], {
      FURROW_HOME: home,
      FURROW_TOKEN: TOKEN,
      ...environment,
    });
    expect(config).toMatchObject({ name: 'den', cpus: 1, maxUnits: 2, logLevel: 'warn' });
  });

  test('the farm that it has joined is its farm, unless it is told of another', async () => {
    const state = join(home, 'agents', 'den');
    const joined = { farmId: 'f', farm: 'joined:1', key: TOKEN, natsSeed: TOKEN, trust: PLAINTEXT };
    await writeJoined(state, joined);
    const all = await shown('config show --role agent -- --name den');
    expect(all['farm']).toEqual({
      value: 'joined:1',
      from: { kind: 'file', name: join(state, 'joined.json') },
    });
    expect(JSON.stringify(all)).not.toContain(TOKEN);
    const told = await shown('config show --role agent -- --name den --farm b:1');
    expect(told['farm']).toEqual({ value: 'b:1', from: { kind: 'flag', name: '--farm' } });
  });

  test('the URL of its farm is shown without its token, and nobody is asked', async () => {
    const url = `furrow://nowhere.invalid:1?ca=sha256:${'ab'.repeat(32)}&token=${TOKEN}`;
    const all = await shown('config show --role agent', { FURROW_FARM: url });
    expect(all['farm']?.value).toBe(url.replace(TOKEN, '…'));
    expect(all['token']).toEqual({
      value: 'set (43 characters)',
      from: { kind: 'environment', name: 'FURROW_FARM' },
    });
    expect(JSON.stringify(all)).not.toContain(TOKEN);
  });
});

test('people get a table', async () => {
  const { stdout } = await run('config', { FURROW_OWNER: 'mia' });
  expect(stdout).toMatch(/^SETTING +VALUE +FROM$/m);
  expect(stdout).toMatch(/^owner +mia +\$FURROW_OWNER$/m);
  expect(stdout).toMatch(/^farm +127\.0\.0\.1:7400 +default$/m);
});

test('flags of a role are not those of the CLI', async () => {
  expect(await run('config show -- --cpus 2')).toMatchObject({ exitCode: 2 });
  expect(await run('config show --role nobody')).toMatchObject({ exitCode: 2 });
});

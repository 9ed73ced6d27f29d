import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readAgentConfig } from '../../../agent/config.ts';

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'furrow-config-'));
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

const read = (argv: string[], environment: NodeJS.ProcessEnv = {}) =>
  readAgentConfig(argv, { FURROW_HOME: home, FURROW_TOKEN: 'token', ...environment });

test('flag before environment before file before default', async () => {
  mkdirSync(join(home, 'agents', 'box'), { recursive: true });
  writeFileSync(
    join(home, 'agents', 'box', 'config.json'),
    JSON.stringify({ cpus: 1, maxUnits: 1, ram: '1GiB' }),
  );
  const environment = { FURROW_AGENT_CPUS: '2', FURROW_AGENT_MAX_UNITS: '2', FURROW_FARM: 'a:1' };
  expect(await read(['--name', 'box', '--cpus', '3'], environment)).toMatchObject({
    name: 'box',
    cpus: 3,
    maxUnits: 2,
    ram: 2 ** 30,
    drainGraceMs: 30_000,
    farm: 'a:1',
    token: 'token',
    stateDirectory: join(home, 'agents', 'box'),
  });
});

test("this machine's farm is found by its file", async () => {
  expect((await read([])).farm).toBe('127.0.0.1:7400');
  const farm = { grpc: '127.0.0.1:9', http: 'http://127.0.0.1:8', nats: [], pid: 1 };
  writeFileSync(join(home, 'farm.json'), JSON.stringify(farm));
  expect((await read([])).farm).toBe('127.0.0.1:9');
});

test.each([
  [['--cpus', 'many'], /^cpus: /],
  [['--ram', '4 bananas'], /^ram: must be a size such as 4GiB$/],
  [['--name', '../x'], /^name: /],
  [['--frobnicate'], /--frobnicate/],
])('%s is refused in one line', async (argv, message) => {
  await expect(read(argv)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(message),
  });
});

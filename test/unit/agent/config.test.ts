import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAgentConfig } from '../../../agent/config.ts';
import { PLAINTEXT } from '../../../kit/trust.ts';
import { OPEN_TERMS } from '../../../proto/agent-policy.ts';

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
  const farm = {
    grpc: '127.0.0.1:9',
    http: 'http://127.0.0.1:8',
    nats: [],
    pid: 1,
    trust: PLAINTEXT,
  };
  writeFileSync(join(home, 'farm.json'), JSON.stringify(farm));
  expect(await read([])).toMatchObject({ farm: '127.0.0.1:9', trust: PLAINTEXT });
});

test.each([
  [['--cpus', 'many'], /^cpus: /],
  [['--ram', '4 bananas'], /^ram: must be a size such as 4GiB$/],
  [['--name', '../x'], /^name: /],
  [['--frobnicate'], /--frobnicate/],
  [['--tool', 'blender'], /^tools.blender: must be a command such as "blender --version"$/],
  [['--tool', 'ffmpeg=ffmpeg -version'], /^tools: ffmpeg is proven anyway: leave it out$/],
  [['--tool', 'My Tool=x'], /^tools: "My Tool" is no name for a tool/],
])('%s is refused in one line', async (argv, message) => {
  await expect(read(argv)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(message),
  });
});

test("the owner's word: flags, environment and file, with what is usual for the rest", async () => {
  expect((await read([])).own).toEqual(OPEN_TERMS);
  const argv = ['--mode', 'idle', '--on-busy', 'evict', '--grace', '10s', '--idle-after', '2m30s'];
  argv.push('--hours', 'sat,sun 00:00-24:00', '--max-bandwidth', '2MB/s');
  const environment = { FURROW_AGENT_TIME_ZONE: 'Europe/Berlin', FURROW_AGENT_MODE: 'never' };
  expect((await read(argv, environment)).own).toEqual({
    ...OPEN_TERMS,
    mode: 'idle',
    onBusy: 'evict',
    graceMs: 10_000,
    idleAfterMs: 150_000,
    hours: [{ days: [5, 6], startMinute: 0, endMinute: 1440 }],
    timeZone: 'Europe/Berlin',
    maxBytesPerSecond: 2 * 2 ** 20,
  });
});

test.each([
  [['--mode', 'sometimes'], /^mode: /],
  [['--grace', 'soon'], /^grace: must be a time such as 90s/],
  [['--hours', 'nights'], /^hours: 'nights' are no hours/],
  [['--time-zone', 'Mars/Base'], /no time zone "Mars\/Base"/],
  [['--max-bandwidth', '5'], /too few to work with: give 64 KiB or more/],
  [['--max-vram-percent', '101'], /^max-vram-percent: /],
])("the owner's word %s is refused in one line", async (argv, message) => {
  await expect(read(argv)).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(message),
  });
});

test('tools are declared by flags, or in the file as text or list', async () => {
  mkdirSync(join(home, 'agents', 'box'), { recursive: true });
  const tools = { blender: 'blender  --version', nuke: ['/opt/Nuke 15/nuke', '--version'] };
  writeFileSync(join(home, 'agents', 'box', 'config.json'), JSON.stringify({ tools }));
  expect((await read(['--name', 'box'])).tools).toEqual({
    blender: ['blender', '--version'],
    nuke: ['/opt/Nuke 15/nuke', '--version'],
  });
  const flags = ['--tool', 'blender=blender -b --version', '--tool', 'oidn=oidnTest --a=b'];
  expect((await read(['--name', 'box', ...flags])).tools).toEqual({
    blender: ['blender', '-b', '--version'],
    oidn: ['oidnTest', '--a=b'],
  });
  expect((await read([])).tools).toEqual({});
});

test.each([
  [
    { kind: 'failed', pattern: '(' },
    /^failure-patterns\.0\.pattern: Invalid regular expression: .*mend it$/,
  ],
  [{ kind: 'hungry', pattern: 'x' }, /^failure-patterns\.0\.kind: must be one of failed, /],
  [{ kind: 'failed', pattern: '' }, /^failure-patterns\.0\.pattern: must not be empty/],
  [{ kind: 'failed' }, /^failure-patterns\.0\.pattern: /],
  [{ kind: 'failed', pattern: 'x', massage: '' }, /^failure-patterns\.0: .*massage/],
])('the failure pattern %j is refused at start in one line', async (pattern, message) => {
  mkdirSync(join(home, 'agents', 'box'), { recursive: true });
  const file = join(home, 'agents', 'box', 'config.json');
  writeFileSync(file, JSON.stringify({ failurePatterns: [pattern] }));
  await expect(read(['--name', 'box'])).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringMatching(message),
  });
});

describe('what programs may do', () => {
  test('is nothing unless the owner says so', async () => {
    const { allowCommands, sandbox, allowNetwork, allowRead, passEnv } = await read([]);
    expect(allowCommands).toEqual([]);
    expect({ sandbox, allowNetwork }).toEqual({ sandbox: 'auto', allowNetwork: false });
    expect([allowRead, passEnv]).toEqual([[], []]);
  });

  test('comes as flags, with commas or repeated, and from the environment', async () => {
    const flags = ['--allow-commands', 'blender, ffmpeg', '--allow-commands', '/opt/nuke/nuke'];
    const more = ['--allow-network', '--allow-read', '/mnt/a,/mnt/b', '--pass-env', 'LICENCE'];
    expect(await read([...flags, ...more, '--sandbox', 'off'])).toMatchObject({
      allowCommands: ['blender', 'ffmpeg', '/opt/nuke/nuke'],
      allowNetwork: true,
      allowRead: ['/mnt/a', '/mnt/b'],
      passEnv: ['LICENCE'],
      sandbox: 'off',
    });
    const environment = { FURROW_AGENT_ALLOW_COMMANDS: 'all', FURROW_AGENT_ALLOW_NETWORK: 'true' };
    expect(await read([], environment)).toMatchObject({ allowCommands: 'all', allowNetwork: true });
    expect(await read(['--allow-commands', 'none'], environment)).toMatchObject({
      allowCommands: [],
    });
  });

  test.each([
    [['--allow-commands', 'bin/tool']],
    [['--allow-commands', 'all,blender']],
    [['--allow-commands', 'none,blender']],
    [['--allow-read', 'assets']],
    [['--pass-env', 'FURROW_TOKEN']],
    [['--pass-env', 'A=B']],
    [['--sandbox', 'docker']],
  ])('%j is refused', async (flags) => {
    await expect(read(flags)).rejects.toMatchObject({ reason: 'BAD_USAGE' });
  });
});

/** `furrow context …`, against a farm that does what the test tells it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { formatFarmUrl } from '../../../kit/farm-url.ts';
import { temporaryFolder } from '../../support/blobs.ts';
import { runCliLine, type LineRun } from '../../support/cli-line.ts';
import { FAKE_TOKEN, startFakeFarm, type FakeFarm } from '../../support/fake-farm.ts';

const PIN = 'ab'.repeat(32);
let farm: FakeFarm;
let home: string;
let file: string;

beforeEach(async () => {
  farm = await startFakeFarm();
  home = join(await temporaryFolder(), 'home');
  file = join(home, 'contexts.json');
});

afterEach(() => farm.kill());

const run = (line: string, more: NodeJS.ProcessEnv = {}): Promise<LineRun> =>
  runCliLine(line.split(' '), { FURROW_HOME: home, ...more });

/** The fake farm speaks no TLS. */
const urlOf = (token = FAKE_TOKEN): string =>
  formatFarmUrl({ address: farm.address, caSha256: undefined, token });
const pinned = (address: string): string =>
  formatFarmUrl({ address, caSha256: PIN, token: FAKE_TOKEN });
const addDev = (): Promise<LineRun> => run(`context add dev ${urlOf()} --plaintext`);

describe('a context', () => {
  test('is added by its URL, used, shown without its token, and forgotten', async () => {
    expect(await addDev()).toMatchObject({
      exitCode: 0,
      stdout: `dev is known here: ${farm.address}\n`,
      stderr: expect.stringContaining('furrow context use dev'),
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await run('jobs --context dev')).toMatchObject({ exitCode: 0, stdout: 'no jobs\n' });
    // Nothing was started here, and dev is not current.
    expect(await run('jobs')).toMatchObject({ exitCode: 3 });

    expect(await run('context use dev')).toMatchObject({
      exitCode: 0,
      stdout: `dev is current: ${farm.address}\n`,
    });
    expect(await run('jobs')).toMatchObject({ exitCode: 0 });
    expect((await run('status')).stdout).toContain(`at ${farm.address} (context dev)`);
    const shown = await run('context show');
    expect(shown.stdout).toContain('dev, the current one');
    const list = await run('context list');
    expect(list.stdout).toMatch(/^ {3}local +none was started here: furrow up +-$/m);
    expect(list.stdout).toMatch(/^\* {2}dev +127\.0\.0\.1:\d+ +nothing: no TLS$/m);
    for (const { stdout } of [shown, list]) expect(stdout).not.toContain(FAKE_TOKEN);

    expect(await run('context remove dev')).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ current: 'local', farms: {} });
    expect(await run('context show dev')).toMatchObject({ exitCode: 6 });
  });

  test('is given as JSON with all but its token', async () => {
    await addDev();
    const { stdout } = await run('context list --json');
    expect(stdout).not.toContain(FAKE_TOKEN);
    expect(JSON.parse(stdout).contexts).toEqual([
      { name: 'local', isCurrent: true, address: null, knownBy: '-', token: 'none' },
      {
        name: 'dev',
        isCurrent: false,
        address: farm.address,
        knownBy: 'nothing: no TLS',
        token: 'set (43 characters)',
      },
    ]);
  });

  test('may have its URL or its token in a file', async () => {
    await mkdir(home, { mode: 0o700 });
    await writeFile(join(home, 'dev.url'), `${urlOf()}\n`);
    const line = `context add dev --url-file ${home}/dev.url --plaintext`;
    expect(await run(line)).toMatchObject({ exitCode: 0 });
    await writeFile(join(home, 'dev.token'), FAKE_TOKEN, { mode: 0o600 });
    const bare = `furrow://${farm.address}`;
    expect(await run(`context add two ${bare} --plaintext`)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('the URL brings no token'),
    });
    const second = `context add two ${bare} --plaintext --token-file ${home}/dev.token`;
    expect(await run(second)).toMatchObject({ exitCode: 0 });
    expect(await run('jobs --context two')).toMatchObject({ exitCode: 0 });
  });

  test('is not stored when the farm does not know its token', async () => {
    expect(await run(`context add dev ${urlOf('w'.repeat(43))} --plaintext`)).toMatchObject({
      exitCode: 7,
      stderr: "furrow: context dev: the token is not this farm's\n",
    });
    await expect(stat(file)).rejects.toThrow(/ENOENT/);
  });

  test('of a farm that is away is stored only with --no-check', async () => {
    const url = pinned(farm.address);
    await farm.kill();
    expect(await run(`context add dev ${url}`)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining(`furrow: context dev: no farm answers at ${farm.address}`),
    });
    expect(await run(`context add dev ${url} --no-check`)).toMatchObject({ exitCode: 0 });
    // Whom to believe is asked at each use.
    expect(await run('jobs --context dev')).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('furrow: context dev: no farm answers'),
    });
  });

  test('replaces another only with --replace', async () => {
    await addDev();
    expect(await addDev()).toMatchObject({
      exitCode: 7,
      stderr: 'furrow: there is a context dev already: choose another name, or give --replace\n',
    });
    const again = `context add dev ${urlOf()} --plaintext --replace`;
    expect(await run(again)).toMatchObject({ exitCode: 0 });
  });

  test('is not lost when several are added at once', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const runs = names.map((name) => run(`context add ${name} ${urlOf()} --plaintext`));
    for (const { exitCode } of await Promise.all(runs)) expect(exitCode).toBe(0);
    const { contexts } = JSON.parse((await run('context list --json')).stdout);
    expect(contexts.map(({ name }: { name: string }) => name).toSorted()).toEqual([
      ...names,
      'local',
    ]);
    expect(await readdir(home)).toEqual(['contexts.json']);
  });

  test('names itself in what its farm refuses, and when that is away', async () => {
    await addDev();
    expect((await run('status j99 --context dev')).stderr).toMatch(/^furrow: context dev: /);
    await farm.kill();
    expect(await run('jobs --context dev')).toMatchObject({
      exitCode: 3,
      stderr: `furrow: context dev: no farm answers at ${farm.address}: is it running, and does a firewall let it through? furrow context list has the others\n`,
    });
  });

  test('names itself also where files go another way than calls', async () => {
    await addDev();
    const stranger = createServer((_request, response) => response.writeHead(401).end());
    stranger.listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    onTestFinished(() => void stranger.close());
    farm.status = { blobUrl: `http://127.0.0.1:${(stranger.address() as AddressInfo).port}` };
    await writeFile(join(home, 'clip.mov'), 'film');
    const sent = await run(`submit ${home}/clip.mov --context dev`);
    expect(sent.exitCode).toBe(7);
    expect(sent.stderr).toMatch(/^furrow: context dev: (?!context)/m);
    const missing = await run(`submit ${home}/none.mov --context dev`);
    expect(missing.stderr).toBe(`furrow: there is no file '${home}/none.mov'\n`);
  });
});

describe('what is refused in one line', () => {
  test.each([
    ['context add local furrow://a:1 --plaintext', 2, "local is this machine's farm"],
    [`context add a/b ${pinned('a:1')}`, 2, "'a/b' is no name for a context"],
    [`context add ${'x'.repeat(65)} ${pinned('a:1')}`, 2, 'is no name for a context'],
    ['context add dev', 2, "give the farm's URL, or - for standard input"],
    [`context add dev ${pinned('a:1')} --url-file f`, 2, "give the farm's URL"],
    [`context add dev ${pinned('a:1')} --plaintext`, 2, 'leave --plaintext out'],
    ['context add dev http://a:1', 2, 'it does not begin with furrow://'],
    ['context use prod', 6, "no context 'prod', of local"],
    ['context remove local', 2, 'cannot be forgotten'],
    ['jobs --context prod', 6, "no context 'prod', of local: add it with furrow context add prod"],
    ['jobs --context local --farm a:1', 2, '--farm and --context each name a farm'],
  ])('%s', async (line, exitCode, message) => {
    const answer = await run(line);
    expect(answer).toMatchObject({ exitCode, stdout: '' });
    expect(answer.stderr).toContain(message);
    expect(answer.stderr.trim().split('\n').length).toBe(1);
  });

  test('a file that others can read, or that is none of ours', async () => {
    await addDev();
    await chmod(file, 0o644);
    expect(await run('context list')).toMatchObject({
      exitCode: 7,
      stderr: `furrow: others can read the tokens in ${file}: run chmod 600 ${file}\n`,
    });
    await chmod(file, 0o600);
    const farms = { dev: { address: 'a:1' } };
    for (const content of ['', '[]', '{"current":1}', JSON.stringify({ current: 'dev', farms })]) {
      await writeFile(file, content);
      expect(await run('jobs')).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining(`${file} cannot be read`),
      });
    }
    // A farm that is named outright needs none of it.
    const line = `jobs --farm ${farm.address} --plaintext`;
    expect(await run(line, { FURROW_TOKEN: FAKE_TOKEN })).toMatchObject({ exitCode: 0 });
  });
});

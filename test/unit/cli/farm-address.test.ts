/** Which farm counts when several things name one, and that what is shown is what counts. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { changeContexts, type Context } from '../../../cli/contexts.ts';
import { findFarm, type FarmAddressOptions } from '../../../cli/farm-address.ts';
import { showClientConfig } from '../../../cli/show-config.ts';
import { furrowHome, writeFarmFile } from '../../../kit/furrow-home.ts';
import { PLAINTEXT } from '../../../kit/trust.ts';
import { temporaryFolder } from '../../support/blobs.ts';

const token = (letter: string): string => letter.repeat(43);
const contextAt = (address: string, letter: string): Context => ({
  address,
  token: token(letter),
  caSha256: 'ab'.repeat(32),
  trust: { state: 'tls', ca: 'PEM', serverName: 'furrow.internal' },
});

let root: string;

beforeEach(async () => {
  root = await temporaryFolder();
  const home = furrowHome(root, {});
  await writeFarmFile(home.farmFile, {
    grpc: '127.0.0.1:1',
    http: 'http://127.0.0.1:2',
    nats: [],
    pid: 1,
    peers: [],
    trust: PLAINTEXT,
  });
  await mkdir(root, { recursive: true });
  await writeFile(home.tokenFile, token('l'), { mode: 0o600 });
  await changeContexts(home, () => ({
    current: 'prod',
    farms: new Map([
      ['prod', contextAt('prod:1', 'p')],
      ['dev', contextAt('dev:1', 'd')],
    ]),
  }));
});

const both = { FURROW_FARM: 'there:1', FURROW_CONTEXT: 'dev', FURROW_TOKEN: token('t') };

const CASES: readonly [FarmAddressOptions, NodeJS.ProcessEnv, string, string, string, string][] = [
  // options, environment; address, from; token, from
  [{ farm: 'flag:1' }, both, 'flag:1', '--farm', 't', 'FURROW_TOKEN'],
  [{ farm: 'flag:1' }, {}, 'flag:1', '--farm', 'l', 'token'],
  [{ context: 'prod' }, both, 'prod:1', 'prod', 'p', 'prod'],
  [{ context: 'local' }, {}, '127.0.0.1:1', 'farm.json', 'l', 'token'],
  [{ context: 'local' }, both, '127.0.0.1:1', 'farm.json', 'l', 'token'],
  [
    { context: 'local' },
    { FURROW_TOKEN: token('t') },
    '127.0.0.1:1',
    'farm.json',
    't',
    'FURROW_TOKEN',
  ],
  [{}, both, 'there:1', 'FURROW_FARM', 't', 'FURROW_TOKEN'],
  [{}, { FURROW_CONTEXT: 'dev', FURROW_TOKEN: token('t') }, 'dev:1', 'dev', 'd', 'dev'],
  [{}, { FURROW_FARM: '', FURROW_CONTEXT: '' }, 'prod:1', 'prod', 'p', 'prod'],
  [{}, { FURROW_CONTEXT: 'local' }, '127.0.0.1:1', 'farm.json', 'l', 'token'],
];

describe('--farm > --context > $FURROW_FARM > $FURROW_CONTEXT > the current context', () => {
  test.each(CASES)('%j with %j', async (options, more, address, from, letter, tokenFrom) => {
    const environment = { FURROW_HOME: root, ...more };
    expect(await findFarm(options, environment)).toMatchObject({ address, token: token(letter) });
    const shown = await showClientConfig(options, environment);
    const named = (name: string) => shown.find((each) => each.name === name);
    expect(named('farm')).toMatchObject({ value: address });
    expect(named('farm')?.from.name.endsWith(from)).toBe(true);
    expect(named('token')).toMatchObject({ value: 'set (43 characters)' });
    expect(named('token')?.from.name.endsWith(tokenFrom)).toBe(true);
    expect(JSON.stringify(shown)).not.toContain(token(letter));
  });

  test('without any, this machine', async () => {
    const nothing = { current: 'local', farms: new Map() };
    await changeContexts(furrowHome(root, {}), () => nothing);
    expect(await findFarm({}, { FURROW_HOME: root })).toEqual({
      address: '127.0.0.1:1',
      trust: PLAINTEXT,
      token: token('l'),
    });
  });
});

test('a context brings its trust, and a token file comes before its token', async () => {
  const path = join(root, 'other');
  await writeFile(path, token('o'), { mode: 0o600 });
  expect(await findFarm({ tokenFile: path }, { FURROW_HOME: root })).toEqual({
    address: 'prod:1',
    trust: { state: 'tls', ca: 'PEM', serverName: 'furrow.internal' },
    token: token('o'),
    context: 'prod',
  });
});

test('whom to believe is not said beside a context', async () => {
  for (const options of [{ plaintext: true }, { ca: 'ca.pem' }]) {
    await expect(findFarm(options, { FURROW_HOME: root })).rejects.toMatchObject({
      reason: 'OPTIONS_CONFLICT',
      message: expect.stringMatching(/^context prod says by what its farm is known: leave --/),
    });
  }
  // What the environment says of other farms does not count.
  const environment = { FURROW_HOME: root, FURROW_PLAINTEXT: 'true' };
  expect((await findFarm({}, environment)).trust.state).toBe('tls');
});

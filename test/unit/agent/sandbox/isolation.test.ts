/** What an agent allows and says of itself, by its owner's settings. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  checkAllowed,
  openIsolation,
  type IsolationOptions,
  type UnitIsolation,
} from '../../../../agent/sandbox/isolation.ts';
import { createLog } from '../../../../kit/log.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-isolation-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const open = (options: Partial<IsolationOptions>): Promise<UnitIsolation> =>
  openIsolation({
    allowed: 'all',
    sandbox: 'off',
    network: false,
    passEnv: [],
    readable: [],
    hidden: [folder],
    log: createLog({ role: 'test', level: 'silent' }),
    ...options,
  });

test.each([
  ['all', ['*'], ['tool:command']],
  [[], [], []],
  [['sh', '/bin/cat', 'no-such-program'], ['sh', '/bin/cat'], ['tool:command']],
] as const)('of programs allowed %j, told %j', async (allowed, told, attributes) => {
  const isolation = await open({ allowed });
  expect(isolation.report.allowedCommands).toEqual(told);
  expect(isolation.attributes).toEqual(attributes);
});

test('without a sandbox it says what programs can read', async () => {
  const { sandbox, report } = await open({});
  expect(sandbox).toBeNull();
  expect(report.level).toBe('none');
  expect(report.detail).toMatch(
    /^programs run as \S+ and can read what \S+ can: it was switched off/,
  );
});

test('where bubblewrap is missing it says so, and does not start when it must have it', async () => {
  vi.stubEnv('PATH', folder);
  expect((await open({ sandbox: 'auto' })).report.detail).toContain('(bwrap) is not installed');
  await expect(open({ sandbox: 'bwrap' })).rejects.toMatchObject({ reason: 'SANDBOX_UNAVAILABLE' });
});

test('where bubblewrap does not work it says why', async () => {
  symlinkSync('/bin/false', join(folder, 'bwrap'));
  vi.stubEnv('PATH', folder);
  const { report, attributes } = await open({ sandbox: 'auto' });
  expect(report.detail).toContain('bubblewrap does not work here');
  expect(attributes).not.toContain('sandbox:bwrap');
});

test('only named variables are passed on', async () => {
  vi.stubEnv('LICENCE_SERVER', 'nas:5053');
  vi.stubEnv('SECRET', 'x');
  const { rules } = await open({ passEnv: ['LICENCE_SERVER', 'NOT_SET'] });
  expect(rules.passed).toEqual({ LICENCE_SERVER: 'nas:5053' });
});

describe('a program', () => {
  test.each(['LD_PRELOAD', 'PATH', 'BASH_ENV', 'PYTHONPATH'])(
    'of a list is not made another by %s',
    (name) => {
      expect(() => checkAllowed({ allowed: ['cat'] }, 'cat', { [name]: './x' })).toThrow(name);
      expect(() => checkAllowed({ allowed: 'all' }, 'cat', { [name]: './x' })).not.toThrow();
    },
  );

  test('is one of the list, by the name that the step gives', () => {
    const allowed = ['cat', '/bin/ls'];
    expect(() => checkAllowed({ allowed }, 'cat', { MINE: '1' })).not.toThrow();
    expect(() => checkAllowed({ allowed }, '/bin/ls', {})).not.toThrow();
    for (const program of ['ls', '/bin/cat', './cat', 'bin/../cat', 'cat ', '']) {
      expect(() => checkAllowed({ allowed }, program, {})).toThrow('allows only cat, /bin/ls');
    }
    expect(() => checkAllowed({ allowed: [] }, 'cat', {})).toThrow('allows none');
  });
});

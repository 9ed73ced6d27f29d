/** The definitions of services in deploy/, by the tools of the systems that they are for, as far as those are here. */
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { acceptedLine } from '../../support/accepted-line.ts';

const run = promisify(execFile);
const DEPLOY = join(import.meta.dirname, '..', '..', '..', 'deploy');
const UNITS = join(DEPLOY, 'systemd');

/** Exposure that systemd may find, in tenths: what is open has its reason in the unit. */
const units = [
  ['furrow-agent.service', 35],
  ['furrow-coordinator.service', 15],
] as const;

describe.each(units)('%s', (unit, mostExposure) => {
  const text = readFileSync(join(UNITS, unit), 'utf8');
  const settings = (name: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value!);

  test('systemd finds nothing wrong with it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'furrow-units-'));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    mkdirSync(join(root, 'etc/systemd/system'), { recursive: true });
    mkdirSync(join(root, 'opt/furrow/current/bin'), { recursive: true });
    // What it refers to.
    cpSync('/usr/lib/systemd/system', join(root, 'usr/lib/systemd/system'), { recursive: true });
    cpSync(join(UNITS, unit), join(root, 'etc/systemd/system', unit));
    writeFileSync(join(root, 'opt/furrow/current/bin/furrow'), '#!/bin/sh\n', { mode: 0o755 });
    const { stdout, stderr } = await run('systemd-analyze', ['verify', `--root=${root}`, unit]);
    expect(`${stdout}${stderr}`).toBe('');
  });

  test('it is open no further than its reasons go', async () => {
    const line = ['security', '--offline=true', '--no-pager', `--threshold=${mostExposure}`];
    await run('systemd-analyze', [...line, join(UNITS, unit)]);
    // And the figure is a figure: a little less, and it fails.
    const less = ['security', '--offline=true', '--no-pager', `--threshold=${mostExposure - 10}`];
    await expect(run('systemd-analyze', [...less, join(UNITS, unit)])).rejects.toMatchObject({
      code: 1,
    });
  });

  test('it starts what the program knows', async () => {
    const [program, ...words] = settings('ExecStart')[0]!.split(' ');
    expect(program).toBe('/opt/furrow/current/bin/furrow');
    await acceptedLine(words.filter((word) => !word.startsWith('$')));
  });

  test('it is started again within limits, and never for bad settings', () => {
    expect(settings('Restart')).toEqual(['on-failure']);
    expect(Number(settings('StartLimitBurst')[0])).toBeGreaterThan(0);
    expect(settings('RestartPreventExitStatus')[0]!.split(' ')).toContain('2');
  });
});

test('an agent that stops gets longer than its units do', async () => {
  const { options } = await acceptedLine(['agent']);
  const text = readFileSync(join(UNITS, 'furrow-agent.service'), 'utf8');
  const [, seconds] = /^TimeoutStopSec=(\d+)s$/m.exec(text) ?? [];
  // Eviction, reports and farewell take 25 s at most.
  expect(Number(seconds) * 1000).toBeGreaterThan(Number(options['drainGraceMs']) + 25_000);
});

test('the property list of macOS is one, and starts what the program knows', async () => {
  const script =
    'import json, plistlib, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)';
  const input = readFileSync(join(DEPLOY, 'macos', 'furrow-agent.plist'));
  const plist = JSON.parse(execFileSync('python3', ['-c', script], { input, encoding: 'utf8' }));
  expect(plist).toMatchObject({
    Label: 'dev.furrow.agent',
    UserName: '_furrow',
    KeepAlive: { SuccessfulExit: false },
    Umask: 0o077,
    EnvironmentVariables: { FURROW_HOME: '/var/lib/furrow' },
  });
  const [env, program, ...words] = plist.ProgramArguments;
  expect([env, program]).toEqual(['/usr/bin/env', 'furrow']);
  await acceptedLine(words);
});

test('agent-alive tells a living agent from a dead one', async () => {
  const home = mkdtempSync(join(tmpdir(), 'furrow-alive-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  const alive = (): Promise<boolean> =>
    run('sh', [join(DEPLOY, 'docker', 'agent-alive.sh')], {
      env: { ...process.env, FURROW_HOME: home },
    }).then(
      () => true,
      () => false,
    );
  expect(await alive()).toBe(false);
  mkdirSync(join(home, 'agents', 'box'), { recursive: true });
  const lock = join(home, 'agents', 'box', 'lock');
  writeFileSync(lock, `${process.pid} 12345`);
  expect(await alive()).toBe(true);
  const gone = run('true');
  const { pid } = gone.child;
  await gone;
  writeFileSync(lock, `${pid} 12345`);
  expect(await alive()).toBe(false);
});

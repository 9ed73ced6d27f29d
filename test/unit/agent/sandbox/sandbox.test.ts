/** Real programs in a real sandbox. Where bubblewrap does not work there is nothing to try: skipped, and said so. */
import { execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { MemorySampler } from '../../../../agent/process/memory-sampler.ts';
import { ProcessRecords } from '../../../../agent/process/process-records.ts';
import { readProcess } from '../../../../agent/process/process-table.ts';
import { MARKER_VARIABLE } from '../../../../agent/process/process-tree.ts';
import { runProcess } from '../../../../agent/process/run-process.ts';
import { VramUse } from '../../../../agent/process/vram-use.ts';
import type { ProcessRequest, ProcessResult } from '../../../../agent/runners/runner.ts';
import { Sandbox, type BoxedUnit } from '../../../../agent/sandbox/sandbox.ts';

const works = (await Sandbox.open({ readable: [], hidden: [] })).state === 'open';

let home: string;
let unit: string;
let logged: string[];
let box: BoxedUnit;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'furrow-sandbox-'));
  unit = join(home, 'agents', 'one', 'attempts', 'j1-run-0-1');
  mkdirSync(join(unit, 'furrow-tmp'), { recursive: true });
  writeFileSync(join(home, 'token'), 'secret');
  logged = [];
  const temporary = join(unit, 'furrow-tmp');
  box = { directory: unit, temporary, readOnly: [], network: false, hasGpus: false };
});

afterEach(() => rmSync(home, { recursive: true, force: true }));

interface Options {
  readonly readable?: readonly string[];
  readonly signal?: AbortSignal;
  readonly termGraceMs?: number;
}

async function run(
  request: Partial<ProcessRequest> & Pick<ProcessRequest, 'program' | 'args'>,
  { readable = [], signal = new AbortController().signal, termGraceMs }: Options = {},
): Promise<ProcessResult> {
  const opened = await Sandbox.open({ readable, hidden: [home] });
  if (opened.state === 'closed') throw new Error(opened.why);
  const host = {
    records: new ProcessRecords(join(home, 'processes')),
    sampler: new MemorySampler(new VramUse()),
    sandbox: opened.sandbox,
  };
  const log = (line: string): number => logged.push(line);
  const options = { signal, log, box, ...(termGraceMs !== undefined && { termGraceMs }) };
  return runProcess(host, { cwd: unit, ...request }, options);
}

const shell = (script: string): Pick<ProcessRequest, 'program' | 'args'> => ({
  program: 'bash',
  args: ['-c', script],
});

/** Whether a process of this machine was started with such an argument. */
function isRunning(argument: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(argument);
    } catch {
      return false;
    }
  });
}

describe.skipIf(!works)('a program in a sandbox', () => {
  test('has its own folder, and of the system what it needs', async () => {
    const script =
      'echo $PWD; echo out > out; echo $(ls /); : > /tmp/t && echo ok; tr a b < /etc/passwd > /dev/null';
    expect(await run(shell(script))).toMatchObject({ exitCode: 0 });
    expect(logged[0]).toBe(unit);
    expect(readFileSync(join(unit, 'out'), 'utf8')).toBe('out\n');
    // Its /tmp lies in its folder, on the disk that is watched.
    expect(existsSync(join(unit, 'furrow-tmp', 't'))).toBe(true);
    for (const name of ['root', 'home', 'mnt', 'var', 'srv']) {
      expect(logged[1]?.split(' ')).not.toContain(name);
    }
    expect(logged[2]).toBe('ok');
  });

  test.each([
    ['the token of the farm', () => `cat ${home}/token`],
    ['keys and passwords of the system', () => 'cat /etc/shadow'],
    ['the environment of the agent', () => `cat /proc/${process.pid}/environ`],
    ['other folders of the system', () => 'touch /usr/furrow-was-here'],
    ['folders beside its own', () => `ls ${home}/processes`],
    ['the root', () => 'touch /furrow-was-here'],
    ['devices', () => 'touch /dev/furrow-was-here'],
    ['settings of the kernel', () => ': >> /proc/sys/kernel/core_pattern'],
    ['devices by their settings', () => ': >> /sys/power/state'],
  ])('cannot get at %s', async (_what, script) => {
    expect((await run(shell(script()))).exitCode).not.toBe(0);
    expect(logged.join()).not.toContain('secret');
  });

  test('does not find what the agent has in a folder that it may read', async () => {
    const script = `ls ${home}; cat ${home}/token; touch ${home}/x; echo done > out`;
    await run(shell(script), { readable: [tmpdir()] });
    expect(logged.join()).not.toContain('secret');
    expect(logged[0]).toBe('agents');
    expect(existsSync(join(home, 'x'))).toBe(false);
    expect(readFileSync(join(unit, 'out'), 'utf8')).toBe('done\n');
  });

  test('leaves nothing beside its folder', async () => {
    await run(shell(`touch ${home}/agents/one/attempts/other; touch ${home}/agents/x`));
    expect(readdirSync(join(home, 'agents', 'one', 'attempts'))).toEqual(['j1-run-0-1']);
    expect(readdirSync(join(home, 'agents'))).toEqual(['one']);
  });

  test('reads what the owner lets it read, and does not write there', async () => {
    const shared = mkdtempSync(join(tmpdir(), 'furrow-shared-'));
    writeFileSync(join(shared, 'asset'), 'a wall');
    await run(shell(`cat ${shared}/asset; touch ${shared}/new`), { readable: [shared] });
    expect(logged).toContain('a wall');
    expect(readdirSync(shared)).toEqual(['asset']);
    rmSync(shared, { recursive: true });
  });

  test('cannot write to its inputs, even as root', async () => {
    writeFileSync(join(unit, 'input'), 'shared');
    chmodSync(join(unit, 'input'), 0o444);
    box = { ...box, readOnly: [join(unit, 'input')] };
    await run(shell('cat input; chmod 666 input; echo mine >> input; rm -f input'));
    expect(logged).toContain('shared');
    expect(readFileSync(join(unit, 'input'), 'utf8')).toBe('shared');
  });

  test('whose folder is only read writes into the pipes that are there, and makes no file', async () => {
    writeFileSync(join(unit, 'input'), 'shared');
    execFileSync('mkfifo', [join(unit, 'out.pipe')]);
    const reader = spawn('cat', [join(unit, 'out.pipe')], { stdio: ['ignore', 'pipe', 'ignore'] });
    const piped = text(reader.stdout);
    box = { ...box, readOnly: [unit] };
    await run(shell('cat input >out.pipe; touch new; echo mine >>input'));
    expect(await piped).toBe('shared');
    expect(readdirSync(unit)).not.toContain('new');
    expect(readFileSync(join(unit, 'input'), 'utf8')).toBe('shared');
  });

  test('has no network unless it is granted', async () => {
    const server = createServer((socket) => socket.end('hello\n')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const ask = shell(`exec 3<>/dev/tcp/127.0.0.1/${port} && head -n 1 <&3`);
    expect((await run(ask)).exitCode).not.toBe(0);
    expect(logged.join()).not.toContain('hello');
    box = { ...box, network: true };
    expect((await run(ask)).exitCode).toBe(0);
    expect(logged).toContain('hello');
    server.close();
  });

  test('is told by how it ends', async () => {
    expect(await run(shell('exit 7'))).toMatchObject({ exitCode: 7 });
    expect(await run(shell('kill -SEGV $$'))).toMatchObject({ exitCode: 139 });
  });

  test('sees what tells of GPUs when it has some, and changes nothing there', async () => {
    expect((await run(shell('test -d /sys/bus/pci'))).exitCode).not.toBe(0);
    box = { ...box, hasGpus: true };
    expect((await run(shell('test -d /sys/bus'))).exitCode).toBe(0);
    expect((await run(shell(': >> /sys/kernel/uevent_helper || touch /sys/x'))).exitCode).not.toBe(
      0,
    );
  });

  test('has no privileges', async () => {
    await run(shell('grep CapEff /proc/self/status'));
    expect(logged[0]).toMatch(/0{16}$/);
  });

  test('is seen with the memory that it takes', async () => {
    const hog = 'const b = Buffer.alloc(150e6, 1); setTimeout(() => b.length, 1500)';
    const { peakRamBytes } = await run({ program: process.execPath, args: ['-e', hog] });
    expect(peakRamBytes).toBeGreaterThan(150e6);
  });

  test('is run where it lies, when that is a folder of its own', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'furrow-program-'));
    copyFileSync('/bin/echo', join(folder, 'mine'));
    expect(await run({ program: join(folder, 'mine'), args: ['here'] })).toMatchObject({
      exitCode: 0,
    });
    expect(logged).toEqual(['here']);
    rmSync(folder, { recursive: true });
  });

  test('is not run where all that the agent hides would be seen', async () => {
    copyFileSync('/bin/echo', join(home, 'mine'));
    await expect(run({ program: join(home, 'mine'), args: ['x'] })).rejects.toMatchObject({
      reason: 'TOOL_MISSING',
      message: expect.stringContaining('--allow-read'),
    });
  });
});

describe.skipIf(!works)('a sandbox that is to end', () => {
  const begun = (): Promise<void> =>
    vi.waitFor(() => expect(existsSync(join(unit, 'begun'))).toBe(true), 10_000);

  async function ended(script: string, termGraceMs: number): Promise<void> {
    const abort = new AbortController();
    const done = run(shell(script), { signal: abort.signal, termGraceMs });
    await begun();
    abort.abort(new Error('not wanted any more'));
    await expect(done).rejects.toThrow('not wanted any more');
  }

  test('lets its program end well', async () => {
    await ended('trap "echo well > end; exit 0" TERM; : > begun; sleep 3601 & wait', 20_000);
    expect(readFileSync(join(unit, 'end'), 'utf8')).toBe('well\n');
    expect(isRunning('3601')).toBe(false);
  });

  test('gives those time that its program started, when that has ended', async () => {
    // The shell without a trap ends at once, what it waited for does not.
    const child = 'trap "sleep 0.3; echo well > end; exit 0" TERM; : > begun; sleep 3602 & wait';
    await ended(`bash -c '${child}'; true`, 20_000);
    expect(readFileSync(join(unit, 'end'), 'utf8')).toBe('well\n');
  });

  test('is killed with all that ignores TERM or left its group', async () => {
    await ended('trap "" TERM; setsid sleep 3603 & : > begun; while :; do sleep 1; done', 300);
    expect(isRunning('3603')).toBe(false);
  });

  test('takes with it what its program left behind', async () => {
    expect((await run(shell('setsid sleep 3604 & exit 0'))).exitCode).toBe(0);
    expect(isRunning('3604')).toBe(false);
  });

  test('does not outlive an agent that is killed', async () => {
    const opened = await Sandbox.open({ readable: [], hidden: [] });
    if (opened.state === 'closed') throw new Error(opened.why);
    const argv = opened.sandbox.argvFor('/bin/sh', box);
    argv.push('/bin/sh', '-c', ': > begun; sleep 3605; true');
    const script = "require('child_process').spawn(process.argv[1], process.argv.slice(2))";
    const agent = spawn(process.execPath, ['-e', script, ...argv]);
    onTestFinished(() => void agent.kill('SIGKILL'));
    // Its shell says that it has begun before it starts the program.
    await vi.waitFor(() => expect(isRunning('3605')).toBe(true), 10_000);
    agent.kill('SIGKILL');
    await vi.waitFor(() => expect(isRunning('3605')).toBe(false), 10_000);
  });

  test('that an earlier run of the agent left is ended, well', async () => {
    const records = new ProcessRecords(join(home, 'processes'));
    const opened = await Sandbox.open({ readable: [], hidden: [] });
    if (opened.state === 'closed') throw new Error(opened.why);
    const argv = opened.sandbox.argvFor('/bin/sh', box);
    const program = 'trap "echo well > end; exit" TERM; : > begun; sleep 3606 & wait';
    const [bwrap = '', ...args] = argv.concat(['/bin/bash', '-c', program]);
    const marker = 'left-over';
    const env = { ...process.env, [MARKER_VARIABLE]: marker };
    const { pid = 0 } = spawn(bwrap, args, { detached: true, env });
    const startTicks = readProcess(pid)?.startTicks ?? 0;
    records.add({ pid, startTicks, marker, groupIsCertain: true, isSandbox: true });
    await begun();
    expect(await records.endLeftovers()).toEqual([]);
    expect(readFileSync(join(unit, 'end'), 'utf8')).toBe('well\n');
    expect(isRunning('3606')).toBe(false);
  });
});

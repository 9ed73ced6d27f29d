/** Real processes: those that ignore TERM, those that leave their group, those that lose their parents. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemorySampler } from '../../../../agent/process/memory-sampler.ts';
import { VramUse } from '../../../../agent/process/vram-use.ts';
import { ProcessRecords } from '../../../../agent/process/process-records.ts';
import { readProcess } from '../../../../agent/process/process-table.ts';
import { MARKER_VARIABLE } from '../../../../agent/process/process-tree.ts';
import { runProcess, type ProcessHost } from '../../../../agent/process/run-process.ts';
import type { ProcessRequest, ProcessResult } from '../../../../agent/runners/runner.ts';

let folder: string;
let host: ProcessHost;
let logged: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-process-'));
  host = {
    records: new ProcessRecords(join(folder, 'records')),
    sampler: new MemorySampler(new VramUse()),
  };
  logged = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(
  request: Partial<ProcessRequest> & Pick<ProcessRequest, 'program' | 'args'>,
  options: { signal?: AbortSignal; termGraceMs?: number } = {},
): Promise<ProcessResult> {
  return runProcess(
    host,
    { cwd: folder, ...request },
    { signal: new AbortController().signal, log: (line) => logged.push(line), ...options },
  );
}

const shell = (script: string): Pick<ProcessRequest, 'program' | 'args'> => ({
  program: 'bash',
  args: ['-c', script],
});

const records = (): readonly string[] => readdirSync(join(folder, 'records'));

async function pidIn(name: string): Promise<number> {
  return vi.waitFor(() => {
    const pid = Number(readFileSync(join(folder, name), 'utf8'));
    if (!(pid > 0)) throw new Error('not written yet');
    return pid;
  }, 5_000);
}

test('tells exit code, lines of both streams and the last of standard error', async () => {
  const lines: string[] = [];
  const result = await run({
    ...shell('echo one; printf "two\\rthree"; seq 60 >&2; exit 7'),
    onStdoutLine: (line) => lines.push(line),
  });
  expect(result).toMatchObject({ exitCode: 7, signal: null });
  expect(lines).toEqual(['one', 'two', 'three']);
  expect(result.stderrTail).toEqual(
    Array.from({ length: 50 }, (_unused, index) => `${index + 11}`),
  );
  expect(logged).toHaveLength(60);
  expect(records()).toEqual([]);
});

test('a signal of its own ends it and what it started, and its result says so', async () => {
  const own = new AbortController();
  const running = run({
    ...shell('sleep 600 & echo $! > child; wait'),
    signal: own.signal,
  });
  const child = await pidIn('child');
  own.abort();
  expect(await running).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
  expect(readProcess(child)).toBeNull();
  expect(records()).toEqual([]);
});

test.skipIf(process.platform !== 'linux')('gets no more memory than it may have', async () => {
  const take = (bytes: number): Pick<ProcessRequest, 'program' | 'args'> => ({
    program: 'python3',
    args: ['-c', `x = bytearray(${bytes}); print(len(x))`],
  });
  const memoryBytes = 256 * 1024 ** 2;
  expect(await run({ ...take(1024 ** 2), memoryBytes })).toMatchObject({ exitCode: 0 });
  const refused = await run({ ...take(512 * 1024 ** 2), memoryBytes });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderrTail.join()).toContain('MemoryError');
});

test('names the signal that ended it', async () => {
  expect(await run(shell('kill -SEGV $$'))).toMatchObject({ exitCode: null, signal: 'SIGSEGV' });
});

test('inherits nothing but what it needs', async () => {
  process.env['FURROW_SECRET_OF_TEST'] = 'x';
  const lines: string[] = [];
  await run({
    ...shell('env'),
    environment: { MINE: '1' },
    onStdoutLine: (line) => lines.push(line),
  });
  delete process.env['FURROW_SECRET_OF_TEST'];
  const names = lines.map((line) => line.split('=')[0]);
  expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'TMPDIR', 'LANG', 'MINE']));
  expect(names).not.toContain('FURROW_SECRET_OF_TEST');
  expect(lines).toContain(`HOME=${folder}`);
});

test('runs at low priority, in a group of its own', async () => {
  const lines: string[] = [];
  await run({
    ...shell('sleep 0.2; nice; ps -o pgid= -p $$; echo $$'),
    onStdoutLine: (line) => lines.push(line),
  });
  expect(lines[0]).toBe('10');
  expect(lines[1]?.trim()).toBe(lines[2]);
});

test('a missing program is named', async () => {
  await expect(run({ program: 'no-such-tool', args: [] })).rejects.toMatchObject({
    reason: 'TOOL_MISSING',
    message: expect.stringContaining('no-such-tool'),
  });
});

test('sees how much memory it takes', async () => {
  let looks = 0;
  host = { ...host, sampler: new MemorySampler({ bytesOf: () => (looks += 1) }) };
  const hog = `const { existsSync, writeFileSync } = require('node:fs');
    const b = Buffer.alloc(150e6, 1);
    writeFileSync('full', '');
    setInterval(() => existsSync('seen') && process.exit(b.length && 0), 20);`;
  const running = run({ program: process.execPath, args: ['-e', hog] });
  const patience = { timeout: 30_000 };
  await vi.waitFor(() => expect(existsSync(join(folder, 'full'))).toBe(true), patience);
  const before = looks;
  await vi.waitFor(() => expect(looks).toBeGreaterThan(before + 1), patience);
  writeFileSync(join(folder, 'seen'), '');
  const { peakRamBytes } = await running;
  expect(peakRamBytes).toBeGreaterThan(150e6);
  expect(peakRamBytes).toBeLessThan(400e6);
});

test('sees how much GPU memory its processes have, its children’s too', async () => {
  const seen: number[] = [];
  const vram = { bytesOf: (pids: ReadonlySet<number>) => (seen.push(pids.size), pids.size * 1000) };
  host = { ...host, sampler: new MemorySampler(vram) };
  const { peakVramBytes } = await run(shell('setsid sleep 0.6 & sleep 0.6'));
  expect(peakVramBytes).toBe(Math.max(...seen) * 1000);
  expect(peakVramBytes).toBeGreaterThanOrEqual(2000);
});

describe('when it is aborted', () => {
  test('ends with the reason of the signal', async () => {
    const abort = new AbortController();
    const done = run(shell('echo $$ > pid; sleep 60'), { signal: abort.signal });
    const pid = await pidIn('pid');
    abort.abort(new Error('not wanted any more'));
    await expect(done).rejects.toThrow('not wanted any more');
    expect(readProcess(pid)).toBeNull();
    expect(records()).toEqual([]);
  });

  test('kills what ignores TERM', async () => {
    const abort = new AbortController();
    const done = run(shell('trap "" TERM; echo $$ > pid; while :; do sleep 1; done'), {
      signal: abort.signal,
      termGraceMs: 200,
    });
    const pid = await pidIn('pid');
    abort.abort(new Error('end'));
    await expect(done).rejects.toThrow('end');
    expect(readProcess(pid)).toBeNull();
  });

  test('ends a stopped process', async () => {
    const abort = new AbortController();
    const done = run(shell('echo $$ > pid; kill -STOP $$'), { signal: abort.signal });
    const pid = await pidIn('pid');
    abort.abort(new Error('end'));
    await expect(done).rejects.toThrow('end');
    expect(readProcess(pid)).toBeNull();
  });

  test('ends children that left the group and lost their parents', async () => {
    const abort = new AbortController();
    const daemon = 'setsid bash -c "echo \\$\\$ > daemon; exec sleep 60" &';
    const done = run(shell(`(${daemon}); echo $$ > pid; sleep 60`), { signal: abort.signal });
    const daemonPid = await pidIn('daemon');
    await pidIn('pid');
    abort.abort(new Error('end'));
    await expect(done).rejects.toThrow('end');
    expect(readProcess(daemonPid)).toBeNull();
  });

  test('does not start when it was aborted before', async () => {
    const signal = AbortSignal.abort(new Error('too late'));
    await expect(run(shell('touch started'), { signal })).rejects.toThrow('too late');
    expect(existsSync(join(folder, 'started'))).toBe(false);
  });
});

test('what it leaves behind is ended with it, even without our variable', async () => {
  await run(shell('env -i sleep 60 & echo $! > left'));
  expect(readProcess(await pidIn('left'))).toBeNull();
});

describe('leftovers of an earlier run', () => {
  test('are ended', async () => {
    const marker = 'left-over';
    const child = spawn('sleep', ['60'], {
      detached: true,
      env: { ...process.env, [MARKER_VARIABLE]: marker },
    });
    const startTicks = readProcess(child.pid!)!.startTicks;
    host.records.add({ pid: child.pid!, startTicks, marker, groupIsCertain: true });
    const gone = once(child, 'exit');
    expect(await new ProcessRecords(join(folder, 'records')).endLeftovers()).toEqual([]);
    await gone;
    expect(records()).toEqual([]);
  });

  test('a process that got the number since is left alone', async () => {
    const child = spawn('sleep', ['60'], { detached: true });
    host.records.add({ pid: child.pid!, startTicks: 1, marker: 'other', groupIsCertain: true });
    writeFileSync(join(folder, 'records', 'damaged'), '{');
    expect(await host.records.endLeftovers()).toEqual([]);
    expect(records()).toEqual([]);
    expect(readProcess(child.pid!)).not.toBeNull();
    child.kill('SIGKILL');
  });
});

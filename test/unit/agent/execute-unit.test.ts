/** Attempts with real directories and processes, and a blob store in the test's hands. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { UnitExecutor } from '../../../agent/agent-core.ts';
import { Cancellation } from '../../../agent/cancellation.ts';
import { assignmentsOf, NO_DEMAND, type Assignment } from '../../../agent/assignment.ts';
import { AttemptFiles } from '../../../agent/attempt-files.ts';
import { createExecutor } from '../../../agent/execute-unit.ts';
import type { BlobTransfer } from '../../../agent/executor-ports.ts';
import { failureOf } from '../../../agent/failure-kind.ts';
import { MemoryGuard } from '../../../agent/process/memory-guard.ts';
import { MemoryLeft } from '../../../agent/process/memory-left.ts';
import { MemorySampler } from '../../../agent/process/memory-sampler.ts';
import { VramUse } from '../../../agent/process/vram-use.ts';
import { ProcessRecords } from '../../../agent/process/process-records.ts';
import { runnerRegistry } from '../../../agent/runners/registry.ts';
import { systemClock } from '../../../kit/clock.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { createLog } from '../../../kit/log.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { FileList, Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { commandShare, resultOf, stepShare, type ShareOptions } from '../../support/work.ts';

const SHA = 'a'.repeat(64);

let folder: string;
let files: AttemptFiles;
let executor: UnitExecutor;
let uploads: string[];
let stored: string[];
let offered: (readonly string[])[];
let logged: string[];
let altered: string[];
let gpuFault: string | null = null;
let failures: Error[];
let listed: readonly File[];
/** Instead of the list. */
let listBytes: Uint8Array | undefined;

/** By how much the wall clock was set since the test began. */
let wallSetMs = 0;

const blobs: BlobTransfer = {
  place: async (file, directory) => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    const isList = file.name === 'furrow-inputs.list';
    const content = isList ? (listBytes ?? FileList.encode({ files: listed }).finish()) : 'input';
    writeFileSync(join(directory, file.name), content);
  },
  altered: async () => altered,
  store: async (path) => {
    const content = readFileSync(path, 'utf8');
    stored.push(content);
    return { sha256: SHA, sizeBytes: content.length };
  },
  upload: async (path) => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    uploads.push(readFileSync(path, 'utf8'));
    return { sha256: SHA, sizeBytes: readFileSync(path).length };
  },
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-execute-'));
  files = new AttemptFiles(join(folder, 'attempts'));
  [uploads, logged, altered, failures, gpuFault] = [[], [], [], [], null];
  [stored, offered] = [[], []];
  listBytes = undefined;
  wallSetMs = 0;
  const sampler = new MemorySampler(new VramUse());
  const log = createLog({ role: 'test', level: 'silent' });
  const memoryLeft = new MemoryLeft();
  executor = createExecutor({
    clock: { ...systemClock, wallMs: () => systemClock.wallMs() + wallSetMs },
    blobs,
    files,
    processes: {
      records: new ProcessRecords(join(folder, 'processes')),
      sampler,
    },
    programs: { allowed: 'all', network: false, passed: {} },
    memory: new MemoryGuard({
      sampler,
      enforcement: 'on',
      cgroups: null,
      memoryLeft: () => memoryLeft.read(),
      log,
    }),
    runners: runnerRegistry,
    telemetry: { progress: () => undefined, log: (_assignment, line) => logged.push(line) },
    gpus: { faultOf: async () => gpuFault, giveUp: () => undefined },
    checkpoints: {
      offerCheckpoint: async (_assignment, files) => {
        offered.push(files.map(({ name }) => name));
        return { state: 'saved' };
      },
    },
    failurePatterns: [],
    log,
  });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each([-5 * 3_600_000, 5 * 3_600_000])(
  'a wall clock that is set by %i ms while it runs: it took as long as it took',
  async (setMs) => {
    const running = execute(shell('while [ ! -e go ]; do sleep 0.01; done'));
    const beganMs = performance.now();
    const [attempt] = await vi.waitFor(() => {
      const found = readdirSync(join(folder, 'attempts'));
      expect(found).not.toEqual([]);
      return found;
    });
    wallSetMs = setMs;
    writeFileSync(join(folder, 'attempts', attempt!, 'go'), '');
    const { startedAtMs, endedAtMs } = await running;
    expect(endedAtMs - startedAtMs).toBeGreaterThan(0);
    expect(endedAtMs - startedAtMs).toBeLessThanOrEqual(performance.now() - beganMs + 1_000);
  },
);

function shell(script: string, options: Partial<ShareOptions> = {}): Assignment {
  const steps = [commandShare(['sh', '-c', script], { counters: [1], ...options })];
  return steps.flatMap(assignmentsOf)[0]!;
}

function execute(assignment: Assignment, cancellation = new Cancellation()): Promise<Result> {
  return executor.execute(assignment, cancellation, () => undefined);
}

const failure = (kind: string, message: unknown): object => ({
  outcome: { $case: 'failure', value: { kind, message } },
});

const input = (name: string): File => ({ name, sha256: SHA, sizeBytes: 5 });
const output = (pattern: string, optional = false) => ({ pattern, optional, keep: false });

test('inputs that came as a blob are placed like others, and the list is gone', async () => {
  listed = [input('a.png'), input('b.png')];
  const inputList = { name: 'inputs', sha256: SHA, sizeBytes: 9 };
  const script = ': > listing; ls -A | grep -v furrow-tmp > listing';
  const outputs = [output('listing')];
  const result = await execute(shell(script, { inputList, outputs }));
  expect(result.outcome?.$case).toBe('success');
  expect(uploads).toEqual(['a.png\nb.png\nlisting\n']);
});

test('a list of inputs that is none, or that no memory holds, is said to be so, in one line', async () => {
  listBytes = Buffer.from('ffffffff', 'hex');
  const inputList = { name: 'inputs', sha256: SHA, sizeBytes: 4 };
  expect(await execute(shell('true', { inputList }))).toMatchObject(
    failure('invalid-input', expect.stringMatching(/^its list of inputs cannot be read: /)),
  );
  const huge = { ...inputList, sizeBytes: 2 ** 40 };
  expect(await execute(shell('true', { inputList: huge }))).toMatchObject(
    failure('invalid-input', expect.stringMatching(/^its list of inputs has 1099511627776 bytes/)),
  );
});

test.each([
  [['a.png', 'a.png'], 'two of its inputs are named "a.png": give'],
  [['a', 'a/b'], 'one of its inputs is named "a", and others need a directory'],
])('inputs named %j are the job’s fault, not the machine’s', async (names, message) => {
  const result = await execute(shell('true', { inputs: names.map(input) }));
  expect(result).toMatchObject(failure('invalid-input', expect.stringContaining(message)));
});

test('gives the inputs, runs, and stores what the patterns mean, but not the inputs', async () => {
  const result = await execute(
    shell('cat source > out-1; echo two > out-2; mkdir sub; echo x > sub/out-3', {
      inputs: [input('source')],
      outputs: [output('*'), output('none-*', true)],
    }),
  );
  expect(result).toMatchObject({ token: { epoch: 1, counter: 1 }, jobId: 'j1', step: 'work' });
  expect(result.outcome).toMatchObject({
    $case: 'success',
    value: {
      outputs: [
        { name: 'out-1', sizeBytes: 5 },
        { name: 'out-2', sizeBytes: 4 },
      ],
    },
  });
  expect(uploads).toEqual(['input', 'two\n']);
});

test('a missing output names its pattern', async () => {
  const result = await execute(shell('true', { outputs: [output('frame-*.png')] }));
  expect(result).toMatchObject(failure('bad-output', 'no output matches frame-*.png'));
});

test('a unit that runs too long is ended and timed out', async () => {
  const limits = { maxAttempts: 0, runTimeoutMs: 200, stallTimeoutMs: 0 };
  const result = await execute(shell('sleep 60', { limits }));
  expect(result).toMatchObject(failure('timed-out', expect.stringContaining('0.2 s')));
});

test('a unit that shows no progress in time is ended; one that does goes on', async () => {
  const limits = { maxAttempts: 0, runTimeoutMs: 0, stallTimeoutMs: 60_000, startTimeoutMs: 700 };
  const late = await execute(shell('sleep 60', { limits }));
  expect(late).toMatchObject(failure('timed-out', expect.stringContaining('start limit of 0.7 s')));
  const result = await execute(shell('echo here; sleep 1', { limits }));
  expect(result.outcome?.$case).toBe('success');
});

test.each([
  ['computes without a word', 'while :; do :; done', 0, true],
  ['computes, but its step says when it stands still', 'while :; do :; done', 60_000, false],
  ['sleeps', 'sleep 60', 0, false],
])('a unit that %s', async (_what, script, stallTimeoutMs, progresses) => {
  const limits = { maxAttempts: 0, runTimeoutMs: 3_500, stallTimeoutMs };
  const counters: number[] = [];
  const assignment = shell(script, { limits });
  await executor.execute(assignment, new Cancellation(), (counter) => counters.push(counter));
  expect(counters.length > 0).toBe(progresses);
});

test('a checkpoint is there again in the next attempt, and saved when the owner comes back', async () => {
  const kind = {
    $case: 'command',
    value: {
      argv: [
        'sh',
        '-c',
        'cd $FURROW_CHECKPOINT; cat old; echo; trap "echo on > old; exit 1" TERM; sleep 60 & wait',
      ],
      environment: {},
      checkpoint: true,
    },
  } as const;
  const share = stepShare({ counters: [1], task: { kind }, outputs: [output('*/*')] });
  const leases = share.leases.map((lease) => ({ ...lease, checkpoint: [input('old')] }));
  const [assignment] = assignmentsOf({ ...share, leases });
  const abort = new Cancellation();
  const done = execute(assignment!, abort);
  await vi.waitFor(() => expect(logged).toEqual(['input']), 5_000);
  abort.abort(new FurrowError('aborted', 'EVICTED', 'the owner is back'));
  expect(await done).toMatchObject(failure('evicted', 'the owner is back'));
  expect(stored).toEqual(['on\n']);
  expect(offered).toEqual([['old']]);
});

test('an evicted unit says so', async () => {
  const abort = new Cancellation();
  const done = execute(shell('sleep 60'), abort);
  abort.abort(new FurrowError('aborted', 'EVICTED', 'the owner is back'));
  expect(await done).toMatchObject(failure('evicted', 'the owner is back'));
});

test('a missing tool is the machine, not the unit', async () => {
  const share = commandShare(['no-such-tool'], { counters: [1] });
  const [assignment] = assignmentsOf(share);
  expect(await execute(assignment!)).toMatchObject(
    failure('infrastructure', expect.stringContaining('no-such-tool')),
  );
});

test('a program that met a full disk is not to blame', async () => {
  const result = await execute(shell('echo "write: No space left on device" >&2; exit 1'));
  expect(result).toMatchObject(failure('infrastructure', expect.stringContaining('disk is full')));
});

test.each([
  ['ulimit -v 100000; tail /dev/zero', 'out-of-memory', 'memory ran out: '],
  ['kill -ILL $$', 'infrastructure', "this machine's processor lacks an instruction"],
  ['no-such-tool', 'infrastructure', 'a program or library is missing on this machine: '],
  ['kill -SEGV $$', 'failed', 'it crashed'],
])('sh -c %j ends as %s', async (script, kind, message) => {
  const result = await execute(shell(script));
  expect(result).toMatchObject(failure(kind, expect.stringContaining(message)));
});

test('a unit that outgrows its demand is ended, with what it took', async () => {
  const demand = { ...NO_DEMAND, ramBytes: 64 * 2 ** 20 };
  const result = await execute(shell('tail /dev/zero', { demand }));
  const message =
    /^it took \d+ MiB of memory and may take 134 MiB: it demands 64 MiB; let its step/;
  expect(result).toMatchObject(failure('out-of-memory', expect.stringMatching(message)));
  expect(result.peakRamBytes).toBeGreaterThan(134 * 2 ** 20);
});

test('waits for a blob store that is away', async () => {
  failures = [new FurrowError('unavailable', 'AWAY', 'the blob server is away')];
  const result = await execute(shell('cat source', { inputs: [input('source')] }));
  expect(result.outcome?.$case).toBe('success');
  expect(logged).toEqual(['input']);
});

test('keeps what it made while the blob store is away', async () => {
  const away = () => new FurrowError('unavailable', 'AWAY', 'the blob server is away');
  failures = [away(), away()];
  const result = await execute(shell('echo two > out', { outputs: [output('out')] }));
  expect(result.outcome?.$case).toBe('success');
  expect(uploads).toEqual(['two\n']);
});

test('an input that the store lost is infrastructure', async () => {
  failures = [new FurrowError('not-found', 'BLOB_NOT_FOUND', 'no blob aaa')];
  const result = await execute(shell('true', { inputs: [input('source')] }));
  expect(result).toMatchObject(failure('infrastructure', 'no blob aaa'));
});

test('an input that would leave the directory is refused', async () => {
  const result = await execute(shell('true', { inputs: [input('../source')] }));
  expect(result).toMatchObject(failure('invalid-input', expect.stringContaining('../source')));
});

test('output made of an input that was changed meanwhile is not stored', async () => {
  altered = ['source'];
  const result = await execute(
    shell('echo x > out', { inputs: [input('source')], outputs: [output('out')] }),
  );
  expect(result).toMatchObject(failure('failed', expect.stringContaining('source was written to')));
  expect(uploads).toEqual([]);
});

test('a task that this agent does not know is refused', async () => {
  const steps = [stepShare({ counters: [1], task: { kind: undefined } })];
  const [assignment] = steps.flatMap(assignmentsOf);
  expect(await execute(assignment!)).toMatchObject(
    failure('infrastructure', expect.stringContaining('cannot run')),
  );
});

test('outputs are stored again from the directory, or their loss is told', async () => {
  const assignment = shell('echo two > out', { outputs: [output('out')] });
  const result = await execute(assignment);
  const { signal } = new AbortController();
  expect(await executor.storeAgain(result, [SHA], signal)).toBe(result);
  expect(uploads).toEqual(['two\n', 'two\n']);
  await executor.discard(assignment.token);
  expect(files.find(assignment.token)).toBeNull();
  expect(await executor.storeAgain(result, [SHA], signal)).toMatchObject(
    failure('infrastructure', expect.stringContaining('lost')),
  );
});

test('the sweep keeps the directories of results that nobody has yet', async () => {
  const directory = await files.create(shell('true'));
  const again = new AttemptFiles(join(folder, 'attempts'));
  await again.sweep([resultOf(1).token!]);
  expect(existsSync(directory)).toBe(true);
  await again.sweep([]);
  expect(existsSync(directory)).toBe(false);
});

test.each([
  [Object.assign(new Error('write'), { code: 'ENOSPC' }), 'infrastructure'],
  [Object.assign(new Error('open'), { code: 'EMFILE' }), 'infrastructure'],
  [new FurrowError('unavailable', 'AWAY', 'away'), 'infrastructure'],
  [new FurrowError('invalid', 'BAD', 'bad'), 'invalid-input'],
  [new TypeError('x is not a function'), 'failed'],
])('%s is %s', (error, kind) => {
  expect(failureOf(error, new AbortController().signal)[0]).toBe(kind);
});

const onGpu = (script: string): Assignment => ({ ...shell(script), gpuIds: ['gpu-a'] });

test('a unit whose GPU failed is not to blame', async () => {
  gpuFault = 'RTX 3060: GPU is lost';
  const message = expect.stringContaining('RTX 3060: GPU is lost; the unit: ');
  expect(await execute(onGpu('exit 3'))).toMatchObject(failure('infrastructure', message));
  // One that had none, and one whose GPU is well, are.
  expect(await execute(shell('exit 3'))).toMatchObject(failure('failed', expect.anything()));
  gpuFault = null;
  expect(await execute(onGpu('exit 3'))).toMatchObject(failure('failed', expect.anything()));
});

test('a unit that is ended because its GPU must not be used says so', async () => {
  const abort = new Cancellation();
  const done = execute(onGpu('sleep 60'), abort);
  abort.abort(new FurrowError('aborted', 'GPU_UNUSABLE', 'RTX 3060 cannot be used: GPU is lost'));
  expect(await done).toMatchObject(
    failure('infrastructure', 'RTX 3060 cannot be used: GPU is lost'),
  );
});

describe('the environment of a program', () => {
  test('is built from nothing, and says what the unit is', async () => {
    vi.stubEnv('FURROW_TOKEN', 'secret');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    await execute(shell('env', { jobId: 'j7', step: 'render' }));
    vi.unstubAllEnvs();
    // What the shell itself adds is none of ours.
    const names = logged.map((line) => line.slice(0, line.indexOf('='))).toSorted();
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([
      'CUDA_VISIBLE_DEVICES',
      'FURROW_ATTEMPT',
      'FURROW_JOB',
      'FURROW_PROCESS',
      'FURROW_STEP',
      'FURROW_UNIT',
      'HOME',
      'LANG',
      'LC_ALL',
      'PATH',
      'TMPDIR',
    ]);
    expect(logged).toContain('FURROW_JOB=j7');
    expect(logged).toContain('FURROW_STEP=render');
  });

  test('lets its step choose neither GPUs nor the checkpoint', async () => {
    const environment = { CUDA_VISIBLE_DEVICES: '0,1', FURROW_CHECKPOINT: '/', MINE: '1' };
    const value = { argv: ['env'], environment, checkpoint: true };
    await execute({ ...shell(''), task: { kind: { $case: 'command', value } } });
    expect(logged).toContain('CUDA_VISIBLE_DEVICES=');
    expect(logged).toContain('MINE=1');
    expect(logged).not.toContain('FURROW_CHECKPOINT=/');
  });

  test('has a folder for what is temporary, which holds no outputs', async () => {
    const script = 'echo x > "$TMPDIR/scratch"; echo y > out';
    await execute(shell(script, { outputs: [output('*'), output('*/*', true)] }));
    expect(uploads).toEqual(['y\n']);
  });
});

test('a film task does not name what lies outside of its folder', async () => {
  const value = { source: '../../secret.mov', film: 'film.mp4' };
  const result = await execute({ ...shell(''), task: { kind: { $case: 'concat', value } } });
  expect(result).toMatchObject(
    failure('invalid-input', expect.stringContaining("has the part '..'")),
  );
});

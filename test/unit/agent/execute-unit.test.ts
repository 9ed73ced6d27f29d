/** Attempts with real directories and processes, and a blob store in the test's hands. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { UnitExecutor } from '../../../agent/agent-core.ts';
import { assignmentsOf, type Assignment } from '../../../agent/assignment.ts';
import { AttemptFiles } from '../../../agent/attempt-files.ts';
import { createExecutor, failureOf, type BlobTransfer } from '../../../agent/execute-unit.ts';
import { MemorySampler } from '../../../agent/process/memory-sampler.ts';
import { ProcessRecords } from '../../../agent/process/process-records.ts';
import { runnerRegistry } from '../../../agent/runners/registry.ts';
import { systemClock } from '../../../kit/clock.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { createLog } from '../../../kit/log.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { commandShare, resultOf, stepShare, type ShareOptions } from '../../support/work.ts';

const SHA = 'a'.repeat(64);

let folder: string;
let files: AttemptFiles;
let executor: UnitExecutor;
let uploads: string[];
let logged: string[];
let altered: string[];
let failures: Error[];

const blobs: BlobTransfer = {
  place: async (file, directory) => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    writeFileSync(join(directory, file.name), 'input');
  },
  altered: async () => altered,
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
  [uploads, logged, altered, failures] = [[], [], [], []];
  executor = createExecutor({
    clock: systemClock,
    blobs,
    files,
    processes: {
      records: new ProcessRecords(join(folder, 'processes')),
      sampler: new MemorySampler(),
    },
    runners: runnerRegistry,
    telemetry: { progress: () => undefined, log: (_assignment, line) => logged.push(line) },
    log: createLog({ role: 'test', level: 'silent' }),
  });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function shell(script: string, options: Partial<ShareOptions> = {}): Assignment {
  const steps = [commandShare(['sh', '-c', script], { counters: [1], ...options })];
  return assignmentsOf({ farmId: 'farm', epoch: 1, number: 1, steps })[0]!;
}

function execute(assignment: Assignment, signal = new AbortController().signal): Promise<Result> {
  return executor.execute(assignment, signal, () => undefined);
}

const failure = (kind: string, message: unknown): object => ({
  outcome: { $case: 'failure', value: { kind, message } },
});

const input = (name: string): File => ({ name, sha256: SHA, sizeBytes: 5 });
const output = (pattern: string, optional = false) => ({ pattern, optional, keep: false });

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

test('an evicted unit says so', async () => {
  const abort = new AbortController();
  const done = execute(shell('sleep 60'), abort.signal);
  abort.abort(new FurrowError('aborted', 'EVICTED', 'the owner is back'));
  expect(await done).toMatchObject(failure('evicted', 'the owner is back'));
});

test('a missing tool is the machine, not the unit', async () => {
  const share = commandShare(['no-such-tool'], { counters: [1] });
  const [assignment] = assignmentsOf({ farmId: 'farm', epoch: 1, number: 1, steps: [share] });
  expect(await execute(assignment!)).toMatchObject(
    failure('infrastructure', expect.stringContaining('no-such-tool')),
  );
});

test('a program that met a full disk is not to blame', async () => {
  const result = await execute(shell('echo "write: No space left on device" >&2; exit 1'));
  expect(result).toMatchObject(failure('infrastructure', expect.stringContaining('disk is full')));
});

test('waits for a blob store that is away', async () => {
  failures = [new FurrowError('unavailable', 'AWAY', 'the blob server is away')];
  const result = await execute(shell('cat source', { inputs: [input('source')] }));
  expect(result.outcome?.$case).toBe('success');
  expect(logged).toEqual(['input']);
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
  const [assignment] = assignmentsOf({ farmId: 'farm', epoch: 1, number: 1, steps });
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

import { beforeEach, expect, test } from 'vitest';
import type { Principal } from '../../../coordinator/access.ts';
import { BlobAccess } from '../../../coordinator/blob-access.ts';
import { viewOfJob } from '../../../coordinator/domain/views.ts';
import { failed, FarmDriver, LEASE_TTL_MS, step } from '../../support/farm-driver.ts';

const film = { name: 'film.mov', sha256: 'a'.repeat(64), sizeBytes: 1 };
const piece = { name: 'piece-1', sha256: 'b'.repeat(64), sizeBytes: 1 };
const made = { name: 'film.mp4', sha256: 'c'.repeat(64), sizeBytes: 1 };
const list = { name: 'list', sha256: 'd'.repeat(64), sizeBytes: 1 };
const first = { name: 'first', sha256: 'e'.repeat(64), sizeBytes: 1 };
const second = { name: 'second', sha256: 'f'.repeat(64), sizeBytes: 1 };
const HOUR_MS = 3_600_000;

let driver: FarmDriver;
let nowMs: number;
let access: BlobAccess;

beforeEach(() => {
  nowMs = 0;
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit(
    [
      step('split', {
        inputs: [{ kind: { $case: 'file', value: film } }],
        outputs: [{ pattern: 'piece-*', keep: false, optional: false }],
      }),
      step('encode', {
        parameters: { kind: { $case: 'forEach', value: { step: 'split', pattern: 'piece-*' } } },
        outputs: [{ pattern: '*', keep: true, optional: false }],
      }),
    ],
    { owner: 'mia' },
  );
  driver.place();
  access = new BlobAccess({
    farm: driver.farm,
    lists: {
      partOf: async (_list, _space, unit) => new Set(unit === 0 ? [first.sha256] : [second.sha256]),
    },
    monotonicMs: () => nowMs,
    job: async (number) => {
      const job = driver.farm.jobs.get(number);
      return job && viewOfJob(job);
    },
  });
});

const agent = (agentId: string): Principal => ({
  caller: 'agent-key',
  agentId,
  owner: '',
  tokenId: '',
});
const ownerOf = (owner: string): Principal => ({
  caller: 'submit',
  agentId: '',
  owner,
  tokenId: 't1',
});
const reads = (who: Principal, sha256: string, jobId?: string): Promise<boolean> =>
  access.mustRead(who, sha256, jobId).then(
    () => true,
    (error: { reason: string }) => {
      expect(error.reason).toBe('BLOB_NOT_FOUND');
      return false;
    },
  );
const report = (files: (typeof film)[]) =>
  driver.report([driver.leasesOf('a1')[0]!], { state: 'succeeded', outputs: files });

test('an agent reads what its leases name, while it holds them', async () => {
  expect(await reads(agent('a1'), film.sha256)).toBe(true);
  expect(await reads(agent('a2'), film.sha256)).toBe(false);
  expect(await reads(agent('a1'), piece.sha256)).toBe(false);
  report([piece]);
  expect(await reads(agent('a1'), film.sha256)).toBe(false);
  driver.place();
  expect(await reads(agent('a1'), piece.sha256)).toBe(true);
});

test('what a retry adds to the inputs of a step is named, too', async () => {
  const part = (letter: string) => ({ name: letter, sha256: letter.repeat(64), sizeBytes: 1 });
  driver.submit(
    [
      step('make', {
        parameters: { kind: { $case: 'count', value: 2 } },
        outputs: [{ pattern: '*', keep: false, optional: false }],
        limits: { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 },
      }),
      step('join', {
        inputs: [{ kind: { $case: 'outputs', value: { step: 'make', pattern: '*' } } }],
        limits: { maxAttempts: 1, runTimeoutMs: 0, stallTimeoutMs: 0 },
      }),
    ],
    { failures: { maxFailedUnits: 1, keepGoing: true } },
  );
  const leaseOf = (name: string) => {
    driver.place();
    return driver
      .leasesOf('a1')
      .find(({ job, step: at }) => job === 2 && driver.job(2).steps[at]?.spec.name === name)!;
  };
  driver.report([leaseOf('make')], { state: 'succeeded', outputs: [part('1')] });
  driver.report([leaseOf('make')], failed('failed'));
  const join = leaseOf('join');
  expect(await reads(agent('a1'), part('1').sha256)).toBe(true);
  driver.report([join], failed('failed'));
  expect(driver.job(2).end?.state).toBe('failed');
  driver.ask({ type: 'RetryJob', job: 2, reason: '', missingBlobs: [] });
  driver.report([leaseOf('make')], { state: 'succeeded', outputs: [part('2')] });
  expect(leaseOf('join')).toBeDefined();
  expect(await reads(agent('a1'), part('2').sha256)).toBe(true);
});

test('an agent hands in while it holds a lease, or one that lapsed', () => {
  expect(() => access.mustWrite(agent('a1'))).not.toThrow();
  expect(() => access.mustWrite(agent('a2'))).toThrow('holds no lease');
  driver.pass(LEASE_TTL_MS);
  expect(driver.leasesOf('a1')).toEqual([]);
  expect(() => access.mustWrite(agent('a1'))).not.toThrow();
});

test('a list of inputs is for the agent that it was made for, and not for ever', async () => {
  const list = 'd'.repeat(64);
  access.noteList(list, 'a1');
  expect(await reads(agent('a1'), list)).toBe(true);
  expect(await reads(agent('a2'), list)).toBe(false);
  nowMs = HOUR_MS + 1;
  access.noteList('e'.repeat(64), 'a2');
  expect(await reads(agent('a1'), list)).toBe(false);
});

test('an owner reads what their jobs made, in the name of the job', async () => {
  report([piece]);
  driver.place();
  report([made]);
  expect(await reads(ownerOf('mia'), made.sha256, 'j1')).toBe(true);
  expect(await reads(ownerOf('mia'), made.sha256)).toBe(false);
  expect(await reads(ownerOf('mia'), made.sha256, 'j2')).toBe(false);
  expect(await reads(ownerOf('mia'), film.sha256, 'j1')).toBe(false);
  expect(await reads(ownerOf('tom'), made.sha256, 'j1')).toBe(false);
  expect(await reads(ownerOf(''), film.sha256)).toBe(true);
});

test('of a list of files an agent reads the list, and the part that its unit takes', async () => {
  const space = { list, perUnit: 1, count: 2, filesBytes: 2 };
  driver.submit([step('each', { parameters: { kind: { $case: 'fileList', value: space } } })]);
  driver.enrol('a2', { maxUnits: 1 });
  driver.enrol('a3', { maxUnits: 1 });
  driver.place();
  const units = ['a2', 'a3'].map((id) => driver.leasesOf(id).map(({ unit }) => unit));
  expect(units).toEqual([[0], [1]]);
  const named = async (id: string): Promise<boolean[]> =>
    Promise.all([list, first, second].map(({ sha256 }) => reads(agent(id), sha256)));
  expect(await named('a2')).toEqual([true, true, false]);
  expect(await named('a3')).toEqual([true, false, true]);
  expect(await named('a1')).toEqual([false, false, false]);
});

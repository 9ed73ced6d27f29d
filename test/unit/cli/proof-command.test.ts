/** `furrow proof`, against a farm that does what the test tells it. */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { proofText, type Check } from '../../../kit/proof-report.ts';
import { JobState } from '../../../proto/gen/furrow/v1/job_service.ts';
import { runCliLine } from '../../support/cli-line.ts';
import { FAKE_TOKEN, fakeJob, startFakeFarm, type FakeFarm } from '../../support/fake-farm.ts';

let farm: FakeFarm;
let folder: string;

beforeEach(async () => {
  farm = await startFakeFarm();
  folder = await mkdtemp(join(tmpdir(), 'furrow-cli-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await farm.kill();
  await rm(folder, { recursive: true, force: true });
});

const furrow = (line: string) =>
  runCliLine(line.split(' '), {
    FURROW_HOME: join(folder, 'home'),
    FURROW_FARM: farm.address,
    FURROW_TOKEN: FAKE_TOKEN,
    FURROW_PLAINTEXT: 'true',
  });

const FILM = { name: 'film.mp4', sizeBytes: 2048, sha256: 'a'.repeat(64) };
const WELL: Check = { check: 'frames', expected: 100, found: 100 };
const ILL: Check = { check: 'frames', expected: 100, found: 99, finding: 'it has 99 frames' };

/** A job that left these files, under their names. */
function leave(files: Readonly<Record<string, string>>): void {
  const outputs = Object.entries(files).map(([name, text]) => {
    const bytes = Buffer.from(text);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    farm.blobs.set(sha256, bytes);
    return { name, sha256, sizeBytes: bytes.length };
  });
  farm.setJob(fakeJob({ state: JobState.JOB_STATE_SUCCEEDED, endedAtMs: 1, outputs }));
}

test('one proof is shown in full, and nothing stays behind', async () => {
  leave({ 'film.mp4': 'film', 'proof.json': proofText([FILM], [WELL], { frames: 100 }) });
  vi.stubEnv('TMPDIR', folder);
  const { exitCode, stdout } = await furrow('proof j1');
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^proof\.json +proven: 1 of 1 checks hold$/m);
  expect(stdout).toMatch(/^file +film\.mp4 +2 KiB +sha256 a{64}$/m);
  expect(stdout).toMatch(/^frames +100$/m);
  expect(stdout).toMatch(/^CHECK +EXPECTED +FOUND +OK$/m);
  expect(stdout).toMatch(/^frames +100 +100 +yes$/m);
  expect((await readdir(folder)).filter((name) => name !== 'home')).toEqual([]);
});

test('who watches a job hears what is not as the source has it', async () => {
  const facts = { sourceDamage: 'in 1 of 2 chunks', remarks: { fields: 'it is interlaced' } };
  leave({ 'film.mp4': 'film', 'proof.json': proofText([FILM], [WELL], facts) });
  const { exitCode, stderr } = await furrow('watch j1');
  expect(exitCode).toBe(0);
  expect(stderr).toContain('note on film.mp4: the source is damaged, and its decoder');
  expect(stderr).toContain('note on film.mp4: it is interlaced');
  leave({ 'film.mp4': 'film', 'proof.json': proofText([FILM], [WELL], { frames: 100 }) });
  expect((await furrow('watch j1')).stderr).not.toContain('note on');
});

test('one that does not hold ends with 4 and says what was found', async () => {
  leave({ 'proof.json': proofText([FILM], [ILL], {}) });
  const { exitCode, stdout } = await furrow('proof j1');
  expect(exitCode).toBe(4);
  expect(stdout).toContain('not proven: 0 of 1 checks hold');
  expect(stdout).toContain('finding: it has 99 frames');
});

test('several take a line each; one of them can be named', async () => {
  leave({
    'a.proof.json': proofText([FILM], [WELL], {}),
    'b.proof.json': proofText([FILM], [ILL], {}),
  });
  const all = await furrow('proof j1');
  expect(all.exitCode).toBe(4);
  expect(all.stdout).toMatch(/^a\.proof\.json +yes +1 of 1 +1$/m);
  expect(all.stdout).toMatch(/^b\.proof\.json +no +0 of 1 +1 +it has 99 frames$/m);
  expect(await furrow('proof j1 a.proof.json')).toMatchObject({ exitCode: 0 });
  expect(await furrow('proof j1 c.proof.json')).toMatchObject({
    exitCode: 7,
    stderr: 'furrow: j1 has no proof named "c.proof.json": see furrow proof j1\n',
  });
});

test('as JSON', async () => {
  leave({ 'proof.json': proofText([FILM], [WELL], { frames: 100 }) });
  const { stdout } = await furrow('proof j1 --json');
  expect(JSON.parse(stdout)).toEqual({
    jobId: 'j1',
    ok: true,
    proofs: [
      {
        name: 'proof.json',
        ok: true,
        files: [FILM],
        facts: { frames: 100 },
        checks: [{ ...WELL, ok: true }],
      },
    ],
  });
});

test('what has none, and what is none, is said in one line', async () => {
  leave({ 'film.mp4': 'film' });
  expect(await furrow('proof j1')).toMatchObject({
    exitCode: 7,
    stderr: 'furrow: j1 has no proof: only what recipes make is proven\n',
  });
  leave({ 'proof.json': '{"version": 9}' });
  const { exitCode, stderr } = await furrow('proof j1');
  expect(exitCode).toBe(1);
  expect(stderr).toMatch(/proof\.json of j1 is no proof that this version reads/);
});

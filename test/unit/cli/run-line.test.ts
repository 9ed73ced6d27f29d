/** Whole command lines, in this process, against a farm that does what the test tells it. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runLine } from '../../../cli/run-line.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { BusyAction } from '../../../proto/gen/furrow/v1/agent_policy.ts';
import { AgentState, type Agent } from '../../../proto/gen/furrow/v1/farm_service.ts';
import {
  AgentAnswerState,
  AttemptOutcome,
  type Job,
  JobState,
  UnitState,
  type Unit,
} from '../../../proto/gen/furrow/v1/job_service.ts';
import {
  FAKE_TOKEN,
  fakeExplanation,
  fakeJob,
  fakeStep,
  startFakeFarm,
  type FakeFarm,
} from '../../support/fake-farm.ts';

let farm: FakeFarm;
let folder: string;

beforeEach(async () => {
  farm = await startFakeFarm();
  folder = await mkdtemp(join(tmpdir(), 'furrow-cli-'));
});

afterEach(async () => {
  await farm.kill();
  await rm(folder, { recursive: true, force: true });
});

interface Line {
  readonly exitCode: Promise<number>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly interrupt: () => void;
}

/** Runs a command line; `$` in an argument is the test's folder. */
function furrow(line: string, environment: NodeJS.ProcessEnv = {}): Line {
  const argv = line.split(' ').map((word) => word.replace('$', folder));
  const interrupts = new AbortController();
  const [stdout, stderr] = [collect(), collect()];
  const exitCode = runLine(argv, {
    stdout: stdout.stream,
    stderr: stderr.stream,
    environment: {
      FURROW_HOME: join(folder, 'home'),
      FURROW_FARM: farm.address,
      FURROW_TOKEN: FAKE_TOKEN,
      FURROW_PLAINTEXT: 'true',
      ...environment,
    },
    takeInterrupts: () => interrupts.signal,
  });
  return {
    exitCode,
    stdout: stdout.text,
    stderr: stderr.text,
    interrupt: () => interrupts.abort(new FurrowError('aborted', 'INTERRUPTED', 'interrupted')),
  };
}

function collect(): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

async function run(line: string, environment?: NodeJS.ProcessEnv) {
  const started = furrow(line, environment);
  const exitCode = await started.exitCode;
  return { exitCode, stdout: started.stdout(), stderr: started.stderr() };
}

const FILM = Buffer.from('the encoded film');
const FILM_FILE = {
  name: 'clip.mp4',
  sha256: createHash('sha256').update(FILM).digest('hex'),
  sizeBytes: FILM.length,
};
const SUCCEEDED = fakeJob({
  state: JobState.JOB_STATE_SUCCEEDED,
  endedAtMs: 1_700_000_072_000,
  outputs: [FILM_FILE],
  steps: [fakeStep('encode', { total: 2, accepted: 2 })],
});

async function clip(name = 'clip.mov', content = 'raw film'): Promise<void> {
  await writeFile(join(folder, name), content);
}

/** Ends every job as soon as it is submitted. */
function endJobsAs(job: Partial<typeof SUCCEEDED>): void {
  farm.blobs.set(FILM_FILE.sha256, FILM);
  const onSubmit = farm.submits.push.bind(farm.submits);
  farm.submits.push = (...requests) => {
    setImmediate(() => farm.setJob({ ...SUCCEEDED, ...job }));
    return onSubmit(...requests);
  };
}

describe('usage', () => {
  test.each([
    ['jbos', "furrow: unknown command 'jbos' (Did you mean jobs?); see furrow --help\n"],
    ['watch', "furrow: missing required argument 'job'; see furrow watch --help\n"],
    ['jobs --frobnicate', "furrow: unknown option '--frobnicate'; see furrow jobs --help\n"],
    [
      'submit $/x --crf 99',
      "furrow: option '--crf <n>' argument '99' is invalid. '99' is not a whole number from 1 to 63; see furrow submit transcode --help\n",
    ],
    [
      'submit thumbnails --sprites 5',
      "furrow: missing required argument 'file': '5' is the value of --sprites, a file of that name is ./5; see furrow submit thumbnails --help\n",
    ],
    [
      'submit thumbnails --sheet 4by4 film.mp4',
      "furrow: too many arguments for 'thumbnails'. Expected 1 argument but got 2: '4by4' is no value of --sheet; see furrow submit thumbnails --help\n",
    ],
    [
      'submit thumbnails film.mp4 --poster -5',
      "furrow: too many arguments for 'thumbnails'. Expected 1 argument but got 2: '-5' is no value of --poster; see furrow submit thumbnails --help\n",
    ],
    [
      'submit thumbnails film.mp4 --sheet=4by4',
      "furrow: option '--sheet [columns x rows]' argument '4by4' is invalid. '4by4' is not a grid, such as 4x3; see furrow submit thumbnails --help\n",
    ],
    [
      'submit thumbnails --sheet film.mp4 -o',
      "furrow: option '-o, --output <path>' argument missing; see furrow submit thumbnails --help\n",
    ],
    [
      'jobs --farm nowhere',
      "furrow: 'nowhere' is no address of a farm: give HOST:PORT, such as 127.0.0.1:7400\n",
    ],
  ])('%s', async (line, stderr) => {
    expect(await run(line)).toEqual({ exitCode: 2, stdout: '', stderr });
  });

  test('help and version are answers', async () => {
    expect(await run('--version')).toMatchObject({ exitCode: 0, stdout: '0.1.0\n' });
    const help = await run('submit transcode --help');
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    expect(help.stdout).toContain('Examples:');
    expect(await run('')).toMatchObject({ exitCode: 2 });
  });

  test('a wrong line is told as JSON too', async () => {
    const { stdout, exitCode } = await run('jbos --json');
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'invalid', reason: 'USAGE' } });
  });
});

describe('an option whose value may be left out', () => {
  const usual = { sheet: undefined, sprites: undefined, poster: undefined };
  const sheet = { columns: 0, rows: 0, width: 0, withoutTimes: false };
  const sprites = { intervalMs: 0, width: 0, columns: 0, rows: 0 };

  test.each<[string, object]>([
    ['submit thumbnails --sheet $/clip.mov', { ...usual, sheet }],
    ['submit thumbnails $/clip.mov --sheet', { ...usual, sheet }],
    ['submit thumbnails --sheet 2x3 $/clip.mov', { sheet: { ...sheet, columns: 2, rows: 3 } }],
    ['submit thumbnails --sheet=2x3 $/clip.mov', { sheet: { ...sheet, columns: 2, rows: 3 } }],
    ['submit thumbnails --sprites --sheet $/clip.mov', { ...usual, sheet, sprites }],
    ['submit thumbnails --sprites 5 --sheet $/clip.mov', { sprites: { intervalMs: 5_000 } }],
    ['submit thumbnails --sprites $/clip.mov --format webp', { ...usual, sprites, format: 'webp' }],
    ['submit thumbnails --poster -- $/clip.mov', { ...usual, poster: {} }],
    ['submit thumbnails --poster 0 $/clip.mov', { ...usual, poster: { atMs: 0 } }],
    ['submit audio --loudness $/clip.mov', { coding: { loudness: { targetLufs: -23 } } }],
    ['submit audio --loudness -16 $/clip.mov', { coding: { loudness: { targetLufs: -16 } } }],
    ['submit stabilize --with-proxy $/clip.mov', { withProxy: { overBytes: 0 } }],
    ['submit stabilize --with-proxy 2KiB $/clip.mov', { withProxy: { overBytes: 2048 } }],
    ['submit --with-proxy $/clip.mov', { withProxy: { overBytes: 0 } }],
  ])('%s', async (line, value) => {
    await clip();
    expect(await run(line)).toMatchObject({ exitCode: 0, stderr: '' });
    expect(farm.submits[0]!.work).toMatchObject({ value: { source: { name: 'clip.mov' } } });
    expect(farm.submits[0]!.work).toMatchObject({ value });
  });
});

describe('the farm that cannot be used', () => {
  test('unreachable is 3', async () => {
    await farm.kill();
    const { exitCode, stderr } = await run('jobs');
    expect(exitCode).toBe(3);
    expect(stderr).toBe(
      `furrow: no farm answers at ${farm.address}: start one with furrow up, or name it with --farm HOST:PORT\n`,
    );
  });

  test('never started here is 3, and a token that is missing for a named farm is 7', async () => {
    const none = { FURROW_FARM: '', FURROW_TOKEN: '' };
    expect(await run('jobs', none)).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('start one with furrow up'),
    });
    expect(await run('jobs', { FURROW_TOKEN: '' })).toMatchObject({
      exitCode: 7,
      stderr: expect.stringContaining(`no token for the farm at ${farm.address}`),
    });
  });

  test("a wrong token is 7, in the farm's own words", async () => {
    const { exitCode, stdout, stderr } = await run('jobs --json', { FURROW_TOKEN: 'wrong' });
    expect(exitCode).toBe(7);
    expect(stderr).toBe("furrow: the token is not this farm's\n");
    expect(JSON.parse(stdout).error).toMatchObject({
      code: 'unauthenticated',
      reason: 'TOKEN_WRONG',
    });
  });
});

describe('submit', () => {
  test('sends the file, prints the id alone, and asks for what the options say', async () => {
    await clip();
    const line =
      'submit $/clip.mov --crf 23 --size x720 --piece-seconds 2.5 --audio copy --priority -3';
    expect(await run(line)).toEqual({ exitCode: 0, stdout: 'j1\n', stderr: '' });
    const [request] = farm.submits;
    expect(request).toMatchObject({
      name: 'clip.mov',
      priority: -3,
      work: {
        $case: 'transcode',
        value: {
          source: { name: 'clip.mov', sizeBytes: 8 },
          video: { crf: 23, width: 0, height: 720 },
          audio: { encoder: 'copy' },
          pieceMs: 2500,
        },
      },
    });
    expect([...farm.blobs.values()].map(String)).toEqual(['raw film']);
  });

  test('an unanswered submit is repeated with the same client id, and gives one job', async () => {
    const error = new FurrowError('unavailable', 'JOURNAL_IN_DOUBT', 'try again');
    farm.failSubmits = { error, times: 2, afterEffect: true };
    const { exitCode, stdout, stderr } = await run('submit command -- echo -n hi');
    expect({ exitCode, stdout, stderr }).toMatchObject({ exitCode: 0, stdout: 'j1\n' });
    expect(farm.submits.length).toBe(3);
    expect(new Set(farm.submits.map((request) => request.clientId)).size).toBe(1);
    expect(farm.submits[0]!.work).toMatchObject({
      value: { steps: [{ task: { kind: { value: { argv: ['echo', '-n', 'hi'] } } } }] },
    });
  });

  test('a refusal is not repeated', async () => {
    const error = new FurrowError('conflict', 'CLIENT_ID_REUSED', 'client id x is taken');
    farm.failSubmits = { error, times: 1, afterEffect: false };
    expect(await run('submit command --client-id x -- true')).toMatchObject({
      exitCode: 7,
      stderr: 'furrow: client id x is taken\n',
    });
  });

  test('-o waits for the end, downloads, and chooses the container', async () => {
    await clip();
    endJobsAs({});
    const { exitCode, stdout } = await run('submit $/clip.mov -o $/out.mkv');
    expect(exitCode).toBe(0);
    expect(stdout.trim().split('\n').at(-1)).toBe(`${folder}/out.mkv  16 B`);
    expect(await readFile(join(folder, 'out.mkv'))).toEqual(FILM);
    expect(farm.submits[0]!.work).toMatchObject({ value: { film: 'out.mkv' } });
    expect((await readdir(folder)).filter((name) => name.includes('.part'))).toEqual([]);
  });

  test('-o makes a folder when the files come', async () => {
    await clip();
    endJobsAs({});
    expect(await run('submit $/clip.mov -o $/new/')).toMatchObject({ exitCode: 0 });
    expect(await readdir(join(folder, 'new'))).toHaveLength(1);
    await rm(join(folder, 'new'), { recursive: true });
    const there = await run('submit $/clip.mov -o $/clip.mov/');
    expect(there).toMatchObject({ exitCode: 7 });
    expect(there.stderr).toContain("clip.mov' is there already");
  });

  test('and none for a job that fails', async () => {
    await clip();
    endJobsAs({ state: JobState.JOB_STATE_FAILED, reason: 'not a video', outputs: [] });
    expect(await run('submit $/clip.mov -o $/new/')).toMatchObject({ exitCode: 4 });
    expect(await readdir(folder)).not.toContain('new');
  });

  test('a failed job is 4 and a cancelled one 5, each with its reason', async () => {
    await clip();
    endJobsAs({ state: JobState.JOB_STATE_FAILED, reason: 'encode/3: not a video', outputs: [] });
    const failed = await run('submit $/clip.mov -o $/out.mp4');
    expect(failed.exitCode).toBe(4);
    expect(failed.stderr).toContain('furrow: j1 failed: encode/3: not a video');
    expect(await readdir(folder)).not.toContain('out.mp4');
    farm.setJob({ ...SUCCEEDED, state: JobState.JOB_STATE_CANCELLED, reason: 'wrong clip' });
    expect(await run('watch j1')).toMatchObject({
      exitCode: 5,
      stderr: 'furrow: j1 was cancelled: wrong clip\n',
    });
  });

  test.each([
    ['a missing file', 'submit $/none.mov', 2, "there is no file '"],
    ['a folder', 'submit $/sub', 2, "/sub' is a folder"],
    ['an empty file', 'submit $/empty.mov', 2, "/empty.mov' is empty"],
    ['a name with control characters', 'submit $/a\u0007b.mov', 2, 'control character'],
    [
      'a target that is there',
      'submit $/clip.mov -o $/there.mp4',
      7,
      "there.mp4' is there already",
    ],
    ['a target without a folder', 'submit $/clip.mov -o $/none/x.mp4', 2, 'there is no folder'],
    [
      'a folder in one that is missing',
      'submit $/clip.mov -o $/none/new/',
      2,
      'there is no folder',
    ],
    ['an unknown container', 'submit $/clip.mov -o $/x.avi', 2, 'does not say which container'],
  ])('%s is refused before anything is sent', async (_, line, exitCode, words) => {
    await Promise.all([clip(), clip('empty.mov', ''), clip('there.mp4'), clip('a\u0007b.mov')]);
    await mkdir(join(folder, 'sub'));
    const answer = await run(line);
    expect(answer.exitCode).toBe(exitCode);
    expect(answer.stderr).toContain(words);
    expect(answer.stderr.split('\n').length).toBe(2);
    expect(farm.submits).toEqual([]);
    expect(farm.blobs.size).toBe(0);
  });
});

test('what the farm would refuse is refused before the film is sent', async () => {
  await clip();
  const message = 'video encoder "nonsense" is not known: use libx264';
  farm.refusal = new FurrowError('invalid', 'INVALID_JOB', message);
  const answer = await run('submit $/clip.mov --encoder nonsense');
  expect(answer).toMatchObject({ exitCode: 2, stderr: `furrow: ${message}\n` });
  expect([farm.submits.length, farm.blobs.size]).toEqual([0, 0]);
});

test('--dry-run sends nothing, and says what the job would be', async () => {
  await clip();
  const answer = await run('submit $/clip.mov --dry-run -w');
  expect(answer).toMatchObject({ exitCode: 0, stderr: '' });
  expect(answer.stdout).toMatch(/^clip\.mov would run; nothing was sent\nencode: 3 units\n/);
  expect(JSON.parse((await run('submit command --dry-run --json -- true')).stdout)).toMatchObject({
    name: 'true',
    takesMs: null,
    steps: [{ name: 'encode', units: 3, unitMs: null }],
  });
  expect([farm.submits.length, farm.blobs.size, farm.jobs.size]).toEqual([0, 0, 0]);
});

describe('watch', () => {
  test('goes on from its cursor when the farm restarts, missing nothing', async () => {
    farm.setJob(fakeJob());
    const watching = furrow('watch j1 --json');
    await vi.waitFor(() => expect(watching.stdout()).toContain('"event":"job"'));
    await farm.kill();
    const granted = {
      unitId: 'j1/encode/0',
      attempt: 1,
      agentId: 'a-1',
      outcome: AttemptOutcome.ATTEMPT_OUTCOME_GRANTED,
      failureKind: '',
      message: '',
      atMs: 1,
      agentName: 'alice',
    };
    // While nobody watches.
    farm.emit('j1', { $case: 'attempts', value: { events: [granted] } });
    await farm.start();
    await vi.waitFor(() => expect(watching.stdout()).toContain('"event":"reachable"'), 5000);
    farm.setJob(SUCCEEDED);
    expect(await watching.exitCode).toBe(0);
    const events = watching
      .stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map(({ event, cursor }) => [event, cursor])).toEqual([
      ['job', 'c1'],
      ['unreachable', undefined],
      ['reachable', undefined],
      ['attempts', 'c2'],
      ['job', 'c3'],
    ]);
    expect(events.at(-1).job).toMatchObject({ state: 'succeeded', reason: '' });
    expect(farm.watchCursors).toEqual(['', 'c1']);
  });

  test('gives up after --wait-seconds', async () => {
    farm.setJob(fakeJob());
    const watching = furrow('watch j1 --wait-seconds 0.2');
    await vi.waitFor(() => expect(watching.stdout()).toContain('j1 running'));
    await farm.kill();
    expect(await watching.exitCode).toBe(3);
    expect(watching.stderr()).toContain('come back with furrow watch j1');
  });

  test('Ctrl-C leaves the job running and says how to come back', async () => {
    farm.setJob(fakeJob());
    const watching = furrow('watch j1');
    await vi.waitFor(() => expect(watching.stdout()).toContain('j1 running'));
    watching.interrupt();
    expect(await watching.exitCode).toBe(130);
    expect(watching.stderr()).toBe(
      'furrow: stopped watching; j1 goes on: come back with furrow watch j1\n',
    );
    expect(farm.jobs.get('j1')!.state).toBe(JobState.JOB_STATE_RUNNING);
  });

  test('an unknown job is 6', async () => {
    expect(await run('watch j9')).toMatchObject({
      exitCode: 6,
      stderr: 'furrow: there is no job j9\n',
    });
  });
});

describe('the other commands', () => {
  const unit: Unit = {
    id: 'j1/encode/0',
    step: 'encode',
    index: 0,
    state: UnitState.UNIT_STATE_LEASED,
    attempts: 2,
    agentId: 'a-1',
    failureKind: 'lost',
    failureMessage: 'no beat',
    retryAtMs: 0,
    outputs: [],
    agentName: 'alice',
    fraction: 0.5,
  };

  test('jobs reads all pages up to the limit, with every field in JSON', async () => {
    for (let i = 1; i <= 450; i += 1) farm.jobs.set(`j${i}`, fakeJob({ id: `j${i}` }));
    const { stdout } = await run('jobs --limit 300 --json');
    const { jobs } = JSON.parse(stdout);
    expect(jobs.length).toBe(300);
    expect(jobs[299]).toMatchObject({ id: 'j300', state: 'running', reason: '', endedAtMs: 0 });
  });

  test('jobs shows what is open and what ended of late; --open, --all and damage', async () => {
    const ended = { state: JobState.JOB_STATE_SUCCEEDED };
    farm.setJob(fakeJob({ id: 'j1', name: 'long ago', ...ended, endedAtMs: 1_700_000_000_000 }));
    farm.setJob(fakeJob({ id: 'j2', name: 'running' }));
    farm.setJob(fakeJob({ id: 'j3', name: 'just done', ...ended, endedAtMs: Date.now() - 1_000 }));
    const idsOf = async (line: string): Promise<string[]> => {
      const { jobs } = JSON.parse((await run(`${line} --json`)).stdout) as { jobs: Job[] };
      return jobs.map(({ id }) => id);
    };
    expect(await idsOf('jobs')).toEqual(['j3', 'j2']);
    expect(await idsOf('jobs --open')).toEqual(['j2']);
    // What is open is not pushed out by what is not.
    expect(await idsOf('jobs --limit 1')).toEqual(['j2']);
    expect((await idsOf('jobs --all')).toSorted()).toEqual(['j1', 'j2', 'j3']);
    expect(await run('jobs --all --open')).toMatchObject({ exitCode: 2 });
    farm.listWarnings = ['segment 1-1 of the archive is damaged'];
    expect((await run('jobs --all')).stderr).toContain('warning: segment 1-1 of the archive');
  });

  test('status of a job: its steps, its files and how long they are kept', async () => {
    const endedAtMs = 1_700_000_009_200;
    farm.setJob(
      fakeJob({
        state: JobState.JOB_STATE_SUCCEEDED,
        endedAtMs,
        archived: true,
        steps: [fakeStep('encode', { total: 3, accepted: 3, lostAttempts: 1 })],
        outputs: [{ name: 'clip.mp4', sha256: 'ab', sizeBytes: 2048 }],
        outputsExpireAtMs: endedAtMs + 1,
      }),
    );
    const { stdout } = await run('status j1');
    expect(stdout).toMatch(
      /^name +clip\.mov\nstate +succeeded \(archived\)\ntime +submitted .* took 9\.2s\n/,
    );
    expect(stdout).toContain('step encode  3/3, 1 attempt lost\n');
    expect(stdout).toContain('clip.mp4  2 KiB, deleted\n');
    expect(JSON.parse((await run('status j1 --json')).stdout).job.archived).toBe(true);
    expect(await run('status j9')).toMatchObject({ exitCode: 6 });
    expect(await run('fetch j1')).toMatchObject({
      exitCode: 7,
      stderr: expect.stringMatching(
        /j1 has no files any more: this farm kept them until 2023/,
      ) as string,
    });
  });

  test('remove', async () => {
    farm.setJob(fakeJob());
    expect((await run('remove j1')).stdout).toBe('j1 is removed\n');
    expect(farm.jobs.has('j1')).toBe(false);
    expect(await run('remove j1')).toMatchObject({ exitCode: 6 });
  });

  test('units', async () => {
    farm.setJob(fakeJob());
    farm.units.set('j1', [unit]);
    expect((await run('units j1 --state leased')).stdout).toBe(
      'UNIT         STATE       ATTEMPTS  AGENT  LAST FAILURE\n' +
        'j1/encode/0  leased 50%         2  alice  lost: no beat\n',
    );
    expect((await run('units j1 --state failed')).stdout).toBe('no units\n');
    farm.ageMs = 12_300;
    const note = 'warning: the farm as it was 12s ago; see furrow status\n';
    expect((await run('units j1')).stderr).toBe(note);
    expect((await run('agents')).stderr).toBe(note);
    expect((await run('jobs --all')).stderr).toBe(note);
    expect(await run('units j1 --state lost')).toMatchObject({ exitCode: 2 });
  });

  describe('agents', () => {
    const den: Agent = {
      id: 'den-1',
      name: 'den',
      state: AgentState.AGENT_STATE_ONLINE,
      lastBeatAgeMs: 100,
      capacity: undefined,
      leases: 0,
      bookedCpuMillis: 0,
      bookedRamBytes: 0,
      version: '0.1.0',
    };
    beforeEach(() => (farm.agents = [den]));

    test('of another version than the coordinator shows it', async () => {
      farm.agents = [den, { ...den, id: 'attic-1', name: 'attic', version: '0.1.1' }];
      expect((await run('agents')).stdout).toBe(
        'AGENT  STATE   UNITS  CORES  MEMORY  GPU  VERSION  ID\n' +
          'den    online      0      -       -  -    0.1.0    den-1\n' +
          'attic  online      0      -       -  -    0.1.1    attic-1\n',
      );
      expect(JSON.parse((await run('agents list --json')).stdout)).toMatchObject({
        coordinatorVersion: '0.1.0',
        agents: [{ version: '0.1.0' }, { version: '0.1.1' }],
      });
    });

    test('one that is closed says why', async () => {
      const closedReason = 'it is outside its hours until 22:00';
      farm.agents = [den, { ...den, id: 'attic-1', name: 'attic', closedReason }];
      expect((await run('agents')).stdout).toBe(
        'AGENT  STATE   UNITS  CORES  MEMORY  GPU  ID\n' +
          'den    online      0      -       -  -    den-1\n' +
          'attic  closed      0      -       -  -    attic-1\n' +
          'attic: it is outside its hours until 22:00\n',
      );
      const { agents } = JSON.parse((await run('agents list --json')).stdout);
      expect(agents).toMatchObject([
        { id: 'den-1', policy: null, closedReason: null },
        { id: 'attic-1', policy: null, closedReason },
      ]);
    });

    test('a policy is set option by option, shown and cleared', async () => {
      expect((await run('agents policy den')).stdout).toBe(
        'den has no policy: it works whenever it is on\n',
      );
      const set = 'agents policy den --mode idle --on-busy evict --grace 60s --idle-after 10m';
      expect(await run(set)).toMatchObject({ exitCode: 0, stderr: '' });
      await run('agents policy den-1 --hours 22:00-07:00 --time-zone Europe/Berlin');
      const caps = '--max-cpus 2.5 --max-units 3 --max-vram-percent 50 --max-bandwidth 20MB/s';
      expect((await run(`agents policy den ${caps}`)).stdout).toBe(
        'agent    den\n' +
          'mode     idle: no input, no load above 50%, no GPU use above 20% by others for 10m 00s\n' +
          'hours    22:00-07:00 (Europe/Berlin)\n' +
          'closing  running units are evicted after 1m 00s\n' +
          "most     2.5 cores, 3 units, 50% of each GPU's memory, 20 MiB/s of files\n",
      );
      const { policy } = JSON.parse((await run('agents policy den --json')).stdout);
      expect(policy).toMatchObject({ mode: 'idle', graceMs: 60_000, maxUnits: 3 });
      expect((await run('agents policy den --hours any --max-units 0')).stdout).toMatch(
        /^hours +any$/m,
      );
      await run('agents policy den --clear');
      expect(farm.agents[0]?.policy).toBeUndefined();
    });

    test('a pause has an end, and keeps the rest of the policy', async () => {
      await run('agents policy den --on-busy evict');
      const beforeMs = Date.now();
      expect((await run('agents pause den 90m')).stdout).toMatch(/^paused +until /m);
      const { pausedUntilMs = 0, onBusy } = farm.agents[0]?.policy ?? {};
      expect(Math.round((pausedUntilMs - beforeMs) / 60_000)).toBe(90);
      expect(onBusy).toBe(BusyAction.BUSY_ACTION_EVICT);
      expect((await run('agents resume den')).stdout).not.toContain('paused');
      expect(farm.agents[0]?.policy?.pausedUntilMs).toBe(0);
    });

    test('bad input is refused', async () => {
      expect(await run('agents policy nobody')).toMatchObject({ exitCode: 6 });
      expect(await run('agents policy den --grace soon')).toMatchObject({ exitCode: 2 });
      expect(await run('agents policy den --clear --mode idle')).toMatchObject({ exitCode: 2 });
      expect(await run('agents pause den forever')).toMatchObject({ exitCode: 2 });
    });
  });

  test('explain', async () => {
    farm.explanation = {
      ...farm.explanation,
      id: 'j1/encode/0',
      summary: 'j1/encode/0 waits: no agent has room for it now',
      explanations: [
        {
          ...fakeExplanation('j1/encode/0'),
          why: 'waits: no agent has room for it now',
          agents: [
            {
              agentId: 'a-1',
              name: 'alice',
              state: AgentAnswerState.AGENT_ANSWER_STATE_USED_BY_OTHERS,
              reason: 'needs 8 CPUs; has 2',
              roomInMs: undefined,
            },
          ],
          startInMs: 12_000,
        },
      ],
    };
    expect(await run('explain j1/encode/0')).toEqual({
      exitCode: 0,
      stdout:
        'j1/encode/0 waits: no agent has room for it now\n' +
        '  alice  needs 8 CPUs; has 2\n' +
        '  starts: in about 12s\n',
      stderr: '',
    });
    expect(JSON.parse((await run('explain j1/encode/0 --json')).stdout)).toMatchObject({
      id: 'j1/encode/0',
      hearsAgents: true,
      explanations: [
        {
          state: 'waiting',
          startInMs: 12_000,
          endInMs: null,
          agents: [{ name: 'alice', state: 'used-by-others', roomInMs: null }],
        },
      ],
    });
    farm.explanation = {
      ...farm.explanation,
      hearsAgents: false,
      leader: '10.0.0.7:7400',
      ageMs: 12_300,
    };
    expect((await run('explain j1/encode/0')).stderr).toBe(
      'warning: the farm as it was 12s ago; see furrow status\n' +
        `note: ${farm.address} stands by and does not hear the agents: 10.0.0.7:7400 can say more\n`,
    );
  });

  test('cancel, retry, pause and resume answer with the job', async () => {
    farm.setJob(fakeJob());
    expect((await run('pause j1')).stdout).toContain('j1 is paused');
    expect((await run('resume j1')).stdout).toBe('j1 goes on\n');
    expect((await run('cancel j1 --reason mistake')).stdout).toBe('j1 is cancelled\n');
    expect(farm.jobs.get('j1')).toMatchObject({ reason: 'mistake' });
    expect((await run('retry j1')).stdout).toBe('j1 has 3 units queued again\n');
    expect(JSON.parse((await run('pause j1 --json')).stdout).job.state).toBe('paused');
  });

  test('fetch refuses a job that is not done, and never replaces a file unasked', async () => {
    farm.setJob(fakeJob());
    expect(await run('fetch j1')).toMatchObject({
      exitCode: 7,
      stderr: 'furrow: j1 has no files: it is running; furrow watch j1 waits for it\n',
    });
    farm.setJob(SUCCEEDED);
    farm.blobs.set(FILM_FILE.sha256, FILM);
    await clip('clip.mp4', 'mine');
    expect(await run('fetch j1 -o $')).toMatchObject({ exitCode: 7 });
    expect(await readFile(join(folder, 'clip.mp4'), 'utf8')).toBe('mine');
    const forced = await run('fetch j1 -o $ --force --json');
    expect(JSON.parse(forced.stdout)).toEqual({
      jobId: 'j1',
      files: [{ ...FILM_FILE, path: join(folder, 'clip.mp4') }],
    });
    expect(await readFile(join(folder, 'clip.mp4'))).toEqual(FILM);
  });

  test('fetch refuses output names that leave the folder', async () => {
    farm.setJob({ ...SUCCEEDED, outputs: [{ ...FILM_FILE, name: '../evil' }] });
    expect(await run('fetch j1 -o $')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('an output "../evil", which cannot be used'),
    });
  });

  test('status and drain', async () => {
    farm.status = { warnings: ['disk is \u001b[2Jlow'], durable: false, durability: 'not read' };
    const { stdout } = await run('status');
    expect(stdout).toContain('durable  not proven: not read');
    expect(stdout).toContain('warning: disk is low');
    expect(await run('drain nobody')).toMatchObject({ exitCode: 6 });
  });
});

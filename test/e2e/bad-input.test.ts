/**
 * Bad input, end to end, as a user and as a service meet it: one clear line, the right code, and
 * nothing half-made left behind.
 */
import { status } from '@grpc/grpc-js';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { EXIT } from '../../cli/exit-codes.ts';
import { JobState, SubmitJobRequest, UnitState } from '../../proto/gen/furrow/v1/job_service.ts';
import { BlobHeader } from '../../proto/gen/furrow/v1/blob_service.ts';
import { Clips, ffmpeg } from '../support/clips.ts';
import { GrpcCaller, refusalOf } from '../support/grpc-calls.ts';
import { startUpFarm, type CliOptions, type UpFarm } from '../support/up-farm.ts';

let farm: UpFarm;
let grpc: GrpcCaller;
let clips: Clips;
/** Where the user stands: sources, and what -o names. */
let folder: string;

beforeAll(async () => {
  clips = await Clips.open();
  folder = await mkdtemp(join(tmpdir(), 'furrow-user-'));
  const [started] = await Promise.all([startUpFarm(), makeSources()]);
  farm = started;
  grpc = new GrpcCaller(farm.grpc, farm.token, farm.trust);
});

afterAll(async () => {
  grpc.close();
  await farm.close();
  await clips.close();
  await rm(folder, { recursive: true, force: true });
});

async function makeSources(): Promise<void> {
  const at = (name: string): string => join(folder, name);
  const good = await readFile(await clips.path('closed-gop'));
  await writeFile(at('good.mp4'), good);
  const copy = ['-i', at('good.mp4'), '-c', 'copy'];
  await ffmpeg([...copy, '-movflags', '+faststart', at('front.mp4')]);
  const front = await readFile(at('front.mp4'));
  await rm(at('front.mp4'));
  await writeFile(at('half.mp4'), front.subarray(0, front.length / 2));
  await writeFile(at('no-index.mp4'), good.subarray(0, good.length / 2));
  await writeFile(at('text.mp4'), 'Dear diary, today I shot no film at all.\n');
  await writeFile(at('empty.mp4'), '');
  await writeFile(at('bell\u0007.mp4'), good);
  await mkdir(at('folder.mp4'));
  await ffmpeg([...copy, '-vn', at('sound.mp4')]);
  await ffmpeg(
    '-f lavfi -i color=s=64x64:r=25:d=1 -frames:v 0 -c:v libx264'.split(' ').concat(at('none.mp4')),
  );
  const strange = Buffer.from(good);
  strange.write('zzzz', strange.indexOf('avc1', strange.indexOf('stsd')), 'latin1');
  await writeFile(at('strange.mp4'), strange);
  await writeFile(
    at('list.mp4'),
    `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n${at('good.mp4')}\n#EXT-X-ENDLIST\n`,
  );
  await mkdir(at('read-only'));
  await chmod(at('read-only'), 0o500);
}

const jobCount = async (): Promise<number> => {
  const request = { pageSize: 0, pageToken: '', includeEnded: true };
  return (await grpc.call(grpc.jobs.listJobs.bind(grpc.jobs), request)).jobs.length;
};

/** What no refusal may change: what lies around, and the farm's jobs. */
const traces = async (): Promise<object> => ({
  files: (await readdir(folder, { recursive: true })).toSorted(),
  jobs: await jobCount(),
});

interface Wanted {
  readonly exitCode: number;
  readonly reason: string;
  readonly says: RegExp | string;
}

/** Runs a line that must be refused: one line, for people and for programs, and no trace. */
async function refused(args: string[], wanted: Wanted, options: CliOptions = {}): Promise<void> {
  const before = await traces();
  const run = await farm.cli(['--json', ...args], { cwd: folder, ...options });
  const { error } = JSON.parse(run.stdout) as { error: { reason: string; message: string } };
  expect(error.message).toMatch(wanted.says);
  // oxlint-disable-next-line no-control-regex
  expect(run.stderr).toMatch(/^furrow: [^\u0000-\u001f]+\n$/);
  expect({ exitCode: run.exitCode, reason: error.reason }).toEqual({
    exitCode: wanted.exitCode,
    reason: wanted.reason,
  });
  expect(await traces()).toEqual(before);
}

const usage = (reason: string, says: RegExp | string): Wanted => ({
  exitCode: EXIT.usage,
  reason,
  says,
});

describe('refused by the CLI', () => {
  test.each<[string, string[], Wanted]>([
    ['a missing file', ['nothing.mp4'], usage('FILE_MISSING', "no file 'nothing.mp4'")],
    ['an empty file', ['empty.mp4'], usage('FILE_EMPTY', "'empty.mp4' is empty")],
    ['a folder', ['folder.mp4'], usage('FILE_IS_DIRECTORY', "'folder.mp4' is a folder")],
    [
      'a control character in the name of the source',
      ['bell\u0007.mp4'],
      usage('FILE_NAME_UNSAFE', /'bell\\u0007\.mp4' cannot be used/),
    ],
    [
      '-o with a control character',
      ['good.mp4', '-o', 'a\u001b.mp4'],
      usage('INVALID_JOB', 'control'),
    ],
    [
      '-o in a folder that is missing',
      ['good.mp4', '-o', 'nowhere/film.mp4'],
      usage('FOLDER_MISSING', "no folder 'nowhere'"),
    ],
    [
      '-o a folder in one that is missing',
      ['good.mp4', '-o', 'nowhere/out/'],
      usage('FOLDER_MISSING', "no folder 'nowhere'"),
    ],
    [
      '-o that is there',
      ['good.mp4', '-o', 'half.mp4'],
      { exitCode: EXIT.refused, reason: 'TARGET_EXISTS', says: /'half.mp4' is there .* --force/ },
    ],
    [
      '-o of no known container',
      ['good.mp4', '-o', 'film.avi'],
      usage('CONTAINER_UNKNOWN', '.mkv'),
    ],
    [
      'a film that leaves its folder',
      ['good.mp4', '--film', '../f.mp4'],
      usage('INVALID_JOB', '..'),
    ],
    [
      'a film name of the farm itself',
      ['good.mp4', '--film', 'chunk-1.mp4'],
      usage('INVALID_JOB', 'choose another'),
    ],
    [
      'an unknown encoder',
      ['good.mp4', '--encoder', 'h264'],
      usage('INVALID_JOB', /"h264".*libx264/),
    ],
    ['an unknown preset', ['good.mp4', '--preset', 'warp'], usage('INVALID_JOB', /"warp".*medium/)],
    ['a crf beyond all encoders', ['good.mp4', '--crf', '99'], usage('USAGE', "'99'")],
    ['a crf of 0, which would mean the default', ['good.mp4', '--crf', '0'], usage('USAGE', "'0'")],
    ['a crf beyond its encoder', ['good.mp4', '--crf', '60'], usage('INVALID_JOB', '1 to 51')],
    [
      'a container that does not take the picture',
      ['good.mp4', '-o', 'film.webm', '--encoder', 'libx264'],
      usage('INVALID_JOB', /webm does not take libx264/),
    ],
    [
      'a container that does not take the sound',
      ['good.mp4', '-o', 'film.webm', '--audio', 'aac'],
      usage('INVALID_JOB', /webm does not take aac/),
    ],
    ['a priority out of range', ['good.mp4', '--priority', '5000'], usage('USAGE', "'5000'")],
    [
      'a client id with a new line',
      ['good.mp4', '--client-id', 'a\nb'],
      usage('INVALID_JOB', 'client id'),
    ],
    ['an unknown option', ['good.mp4', '--bogus'], usage('USAGE', "'--bogus'")],
  ])('%s', (_, args, wanted) => refused(['submit', ...args], wanted));

  test.skipIf(process.getuid?.() === 0)('-o where nobody may write', () =>
    refused(
      ['submit', 'good.mp4', '-o', 'read-only/film.mp4'],
      usage('FOLDER_READ_ONLY', "may not write in 'read-only'"),
    ),
  );

  test.each(['watch', 'units', 'logs', 'cancel', 'retry', 'fetch'])(
    '%s of no job',
    async (verb) => {
      const says = 'no job j999: see furrow jobs';
      await refused([verb, 'j999'], { exitCode: EXIT.notFound, reason: 'JOB_UNKNOWN', says });
      await refused([verb, 'nonsense'], {
        exitCode: EXIT.notFound,
        reason: 'JOB_UNKNOWN',
        says: /"nonsense": ids look like j12/,
      });
    },
  );
});

describe('refused at the door', () => {
  test('the token of another farm', async () => {
    const path = join(folder, 'other-token');
    await writeFile(path, `${'A'.repeat(43)}\n`, { mode: 0o600 });
    await refused(['--token-file', path, 'submit', 'good.mp4'], {
      exitCode: EXIT.refused,
      reason: 'TOKEN_WRONG',
      says: /not a token of this farm/,
    });
    await rm(path);
  });

  test('a token file that is not there', () =>
    refused(['--token-file', 'nothing', 'jobs'], {
      exitCode: EXIT.refused,
      reason: 'TOKEN_MISSING',
      says: /no token file .*nothing.*: copy/,
    }));

  test('no token at all', () =>
    refused(
      ['--farm', farm.grpc, 'jobs'],
      { exitCode: EXIT.refused, reason: 'TOKEN_MISSING', says: /no token for the farm/ },
      { environment: { ...process.env, FURROW_HOME: join(folder, 'nothing') } },
    ));

  test('no farm was ever started', () =>
    refused(
      ['submit', 'good.mp4'],
      { exitCode: EXIT.unreachable, reason: 'NO_FARM', says: /start one with furrow up/ },
      { environment: { ...process.env, FURROW_HOME: join(folder, 'nothing') } },
    ));

  test('the farm does not run', () =>
    refused(['--farm', '127.0.0.1:1', 'submit', 'good.mp4'], {
      exitCode: EXIT.unreachable,
      reason: 'FARM_UNREACHABLE',
      says: /no farm answers at 127\.0\.0\.1:1/,
    }));
});

const noop = { noop: {} };

describe('a spec that cannot be right', () => {
  test.each<[string, unknown, Wanted]>([
    ['is no JSON', '{"steps":[', usage('SPEC_NOT_JSON', /^standard input is not JSON/)],
    ['is a list', [], usage('SPEC_INVALID', /expected object/)],
    [
      'has a field that nobody knows',
      { steps: [{ name: 'a', task: noop, demand: { cpuMilis: 5 } }] },
      usage('SPEC_INVALID', 'steps[0].demand.cpuMilis: unknown field'),
    ],
    [
      'has a field of the wrong type',
      { steps: [{ name: 'a', task: noop, limits: { maxAttempts: 'many' } }] },
      usage('SPEC_INVALID', 'steps[0].limits.maxAttempts: expected number'),
    ],
    [
      'has a number beyond all numbers',
      { steps: [{ name: 'a', task: noop, demand: { scratchBytes: '9999999999999999' } }] },
      usage('SPEC_INVALID', /^standard input: steps\[0\]\.demand\.scratchBytes: [^;]+$/),
    ],
    [
      'has a circle',
      {
        steps: [
          { name: 'a', dependsOn: ['b'], task: noop },
          { name: 'b', dependsOn: ['a'], task: noop },
        ],
      },
      usage('INVALID_JOB', /steps a, b wait for one another in a circle/),
    ],
    [
      'has a step that waits for itself',
      { steps: [{ name: 'a', dependsOn: ['a'], task: noop }] },
      usage('INVALID_JOB', /step a waits for itself/),
    ],
    [
      'names a step twice',
      {
        steps: [
          { name: 'a', task: noop },
          { name: 'a', task: noop },
        ],
      },
      usage('INVALID_JOB', 'two steps are named "a": rename one'),
    ],
    [
      'depends on a step that is not there',
      { steps: [{ name: 'a', dependsOn: ['x'], task: noop }] },
      usage('INVALID_JOB', 'step a: depends on "x", which is no step of this job'),
    ],
    [
      'fans out over a step that is not there',
      { steps: [{ name: 'a', parameters: { forEach: { step: 'x', pattern: '*' } }, task: noop }] },
      usage('INVALID_JOB', 'step a: fans out over "x", which is no step of this job'),
    ],
    [
      'names an output outside of its directory',
      { steps: [{ name: 'a', task: noop, outputs: [{ pattern: '../*' }] }] },
      usage('INVALID_JOB', /pattern "\.\.\/\*" leaves its directory/),
    ],
    [
      'names an output with a control character',
      { steps: [{ name: 'a', task: noop, outputs: [{ pattern: 'a\u0007' }] }] },
      usage('INVALID_JOB', /pattern "a\\u0007" has control characters/),
    ],
    [
      'names an input outside of its directory',
      { steps: [{ name: 'a', task: noop, inputs: [{ path: 'good.mp4', name: '../x' }] }] },
      usage('FILE_NAME_UNSAFE', /the part '\.\.'/),
    ],
    [
      'names an input that was never uploaded',
      {
        steps: [
          { name: 'a', task: noop, inputs: [{ file: { name: 'x', sha256: 'a'.repeat(64) } }] },
        ],
      },
      { exitCode: EXIT.refused, reason: 'BLOB_MISSING', says: /aaaa.*: upload/ },
    ],
    [
      'demands more memory than any agent has',
      { steps: [{ name: 'a', task: noop, demand: { ramBytes: String(2 ** 50) } }] },
      {
        exitCode: EXIT.refused,
        reason: 'DEMAND_TOO_LARGE',
        says: /step a needs 1048576\.0 GiB RAM; the most that fits is [\d.]+ GiB RAM/,
      },
    ],
    [
      'demands a tool that no agent has',
      { steps: [{ name: 'a', task: noop, demand: { attributes: ['tool:crystal-ball'] } }] },
      {
        exitCode: EXIT.refused,
        reason: 'DEMAND_TOO_LARGE',
        says: /needs tool:crystal-ball, which no agent has/,
      },
    ],
  ])('%s', (_, spec, wanted) => {
    const stdin = typeof spec === 'string' ? spec : JSON.stringify(spec);
    return refused(['submit', 'steps', '-'], wanted, { stdin });
  });

  test('asks for as much as the refusal names: that fits', async () => {
    const demandRam = (ramBytes: number): string =>
      JSON.stringify({ steps: [{ name: 'a', task: noop, demand: { ramBytes } }] });
    const first = await farm.cli(['submit', 'steps', '-'], { stdin: demandRam(2 ** 50) });
    const largestGib = Number(/the most that fits is ([\d.]+) GiB RAM/.exec(first.stderr)?.[1]);
    const stdin = demandRam(Math.floor(largestGib * 2 ** 30));
    expect(await farm.cli(['submit', 'steps', '-'], { stdin })).toMatchObject({
      exitCode: EXIT.ok,
    });
  });
});

describe('refused over gRPC', () => {
  const submit = (request: object) =>
    refusalOf(
      grpc.call(grpc.jobs.submitJob.bind(grpc.jobs), SubmitJobRequest.fromPartial(request)),
    );
  const source = { name: 'a.mp4', sha256: 'b'.repeat(64), sizeBytes: 5 };
  const film = (over: object): object => ({
    clientId: 'bad',
    work: { $case: 'transcode', value: { source, ...over } },
  });
  const steps = (...list: object[]): object => ({
    clientId: 'bad',
    work: { $case: 'steps', value: { steps: list } },
  });
  const task = { kind: { $case: 'noop', value: {} } };
  const invalid = (says: string | RegExp) => ({
    code: status.INVALID_ARGUMENT,
    reason: 'INVALID_JOB',
    message: expect.stringMatching(says) as string,
  });

  test.each<[string, object, object]>([
    ['no work', { clientId: 'bad' }, invalid('no work')],
    ['no client id', { ...film({}), clientId: '' }, invalid('client id')],
    ['no source', film({ source: undefined }), invalid('source is missing')],
    ['an empty source', film({ source: { ...source, sizeBytes: 0 } }), invalid('a.mp4 is empty')],
    ['a source outside', film({ source: { ...source, name: '../a.mp4' } }), invalid(/leaves its/)],
    ['a bad digest', film({ source: { ...source, sha256: 'B' } }), invalid('64 lower-case')],
    ['an unknown encoder', film({ video: { encoder: 'h264' } }), invalid(/"h264".*libx264/)],
    ['a film outside', film({ film: '/etc/film.mp4' }), invalid('is absolute')],
    ['a film name in two lines', film({ film: 'a\nb.mp4' }), invalid(/"a\\nb.mp4".*control/)],
    ['a wrong priority', { ...film({}), priority: 1001 }, invalid('priority 1001')],
    ['a name in two lines', { ...steps({ name: 'a', task }), name: 'a\nb' }, invalid(/job name/)],
    ['a step without a task', steps({ name: 'a' }), invalid('step a: has no task')],
    [
      'a circle',
      steps({ name: 'a', dependsOn: ['b'], task }, { name: 'b', dependsOn: ['a'], task }),
      invalid('circle'),
    ],
    [
      'a blob that is not stored',
      film({}),
      {
        code: status.FAILED_PRECONDITION,
        reason: 'BLOB_MISSING',
        message: expect.stringMatching(/bbbb.*upload/) as string,
      },
    ],
    [
      'a demand that fits nowhere',
      steps({ name: 'a', task, demand: { gpus: 64, vramBytes: 2 ** 40 } }),
      {
        code: status.FAILED_PRECONDITION,
        reason: 'DEMAND_TOO_LARGE',
        message: expect.stringMatching(/64 GPUs.*the most that fits/) as string,
      },
    ],
    [
      'a request that is too large',
      { ...film({}), name: 'x'.repeat(9 * 2 ** 20) },
      {
        code: status.RESOURCE_EXHAUSTED,
        reason: undefined,
        message: expect.stringMatching(/larger than max/) as string,
      },
    ],
    [
      'a job that is too large for the journal',
      steps({
        name: 'a',
        task,
        parameters: {
          kind: { $case: 'values', value: { values: [randomBytes(2 ** 19).toString('hex')] } },
        },
      }),
      {
        code: status.INVALID_ARGUMENT,
        reason: 'JOB_TOO_LARGE',
        message: expect.stringMatching(/split it/) as string,
      },
    ],
  ])('%s', async (_, request, wanted) => {
    const before = await traces();
    const refusal = await submit(request);
    expect(refusal).toEqual(wanted);
    expect(refusal.message).not.toContain('\n');
    expect(await traces()).toEqual(before);
  });

  test('a client id with another content', async () => {
    const first = SubmitJobRequest.fromPartial({ ...steps({ name: 'a', task }), clientId: 'once' });
    const { job } = await grpc.call(grpc.jobs.submitJob.bind(grpc.jobs), first);
    expect(await submit({ ...steps({ name: 'b', task }), clientId: 'once' })).toEqual({
      code: status.ALREADY_EXISTS,
      reason: 'CLIENT_ID_REUSED',
      message: expect.stringMatching(`"once" was used for ${job?.id}`) as string,
    });
  });

  test.each([
    ['nonsense', 'CURSOR_INVALID'],
    ['-1', 'CURSOR_INVALID'],
    // As one from a journal that went on further than this one.
    ['999999999', 'CURSOR_INVALID'],
  ])('a watch from the cursor %s', async (cursor, reason) => {
    const { job } = await grpc.call(
      grpc.jobs.submitJob.bind(grpc.jobs),
      SubmitJobRequest.fromPartial({ ...steps({ name: 'a', task }), clientId: `cursor ${cursor}` }),
    );
    const watch = grpc.all(grpc.jobs.watchJob.bind(grpc.jobs), {
      jobId: job?.id ?? '',
      cursor,
      withoutAttempts: false,
    });
    expect(await refusalOf(watch)).toMatchObject({ code: status.INVALID_ARGUMENT, reason });
  });

  test('a page token that nobody gave', async () => {
    const request = { pageSize: 0, pageToken: '../etc', includeEnded: false };
    expect(await refusalOf(grpc.call(grpc.jobs.listJobs.bind(grpc.jobs), request))).toMatchObject({
      code: status.INVALID_ARGUMENT,
      reason: 'PAGE_TOKEN_INVALID',
    });
  });

  test('an upload whose bytes are not what its name promises', async () => {
    const upload = (header: BlobHeader, ...chunks: Buffer[]): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const call = grpc.blobs.uploadBlob(grpc.metadata, (error, response) =>
          error === null ? resolve(response) : reject(error),
        );
        call.write({ part: { $case: 'header', value: header } });
        for (const chunk of chunks) call.write({ part: { $case: 'chunk', value: chunk } });
        call.end();
      });
    const bytes = Buffer.from('these bytes');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const refusedAs = async (header: BlobHeader): Promise<unknown> => {
      const { code, reason } = await refusalOf(upload(header, bytes));
      return { code, reason };
    };
    const code = status.INVALID_ARGUMENT;
    expect(await refusedAs({ sha256: 'c'.repeat(64), sizeBytes: bytes.length })).toEqual({
      code,
      reason: 'DIGEST_MISMATCH',
    });
    expect(await refusedAs({ sha256, sizeBytes: 5 })).toEqual({ code, reason: 'SIZE_MISMATCH' });
    expect(await refusedAs({ sha256: '../x', sizeBytes: 5 })).toEqual({
      code,
      reason: 'BAD_BLOB_NAME',
    });
    expect(await refusedAs({ sha256, sizeBytes: 2 ** 52 })).toEqual({
      code: status.RESOURCE_EXHAUSTED,
      reason: 'DISK_FULL',
    });
  });
});

describe('a source that is no film', () => {
  test.each<[string, string, RegExp]>([
    ['text', 'text.mp4', /text\.mp4 is not a video/],
    ['half a film, its index in front', 'half.mp4', /half\.mp4 is truncated/],
    ['half a film without its index', 'no-index.mp4', /no-index\.mp4 .*index \(moov\) is missing/],
    ['no frame at all', 'none.mp4', /none\.mp4 has no video/],
    ['sound alone', 'sound.mp4', /sound\.mp4 has only audio/],
    ['a codec that nobody knows', 'strange.mp4', /strange\.mp4 .*unknown codec \(zzzz\)/],
    ['a playlist in disguise', 'list.mp4', /list\.mp4 is a playlist/],
  ])('%s', async (_, name, says) => {
    const files = await readdir(folder);
    const run = await farm.cli(['submit', name, '-o', 'film.mp4'], { cwd: folder });
    expect(run.exitCode).toBe(EXIT.jobFailed);
    const last = run.stderr.trimEnd().split('\n').at(-1) ?? '';
    expect(last).toMatch(/^furrow: j\d+ failed: /);
    expect(last).toMatch(says);
    expect(await readdir(folder)).toEqual(files);
    await endedForGood(/(j\d+) failed/.exec(last)?.[1] ?? '', says);
  });

  /** The job says why, and what failed was not tried twice. */
  async function endedForGood(jobId: string, says: RegExp): Promise<void> {
    const { job } = await grpc.call(grpc.jobs.getJob.bind(grpc.jobs), { jobId });
    expect(job).toMatchObject({ state: JobState.JOB_STATE_FAILED, outputs: [] });
    expect(job?.reason).toMatch(says);
    const request = { jobId, step: '', states: [], pageSize: 0, pageToken: '' };
    const { units } = await grpc.call(grpc.jobs.listUnits.bind(grpc.jobs), request);
    const failed = units.filter(({ state }) => state === UnitState.UNIT_STATE_FAILED);
    expect(failed).toMatchObject([{ attempts: 1, failureKind: 'invalid-input' }]);
  }
});

test('after all that, nothing half-made is left in the farm', async () => {
  const filesIn = async (path: string): Promise<string[]> => {
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  };
  const agents = await readdir(join(farm.home, 'agents'));
  expect(agents).toHaveLength(2);
  await vi.waitFor(
    async () => {
      const { jobs } = await grpc.call(grpc.jobs.listJobs.bind(grpc.jobs), {
        pageSize: 0,
        pageToken: '',
        includeEnded: false,
      });
      expect(jobs).toEqual([]);
      for (const agent of agents) {
        const farms = join(farm.home, 'agents', agent, 'farms');
        for (const id of await readdir(farms)) {
          expect(await readdir(join(farms, id, 'attempts'))).toEqual([]);
        }
        expect(await filesIn(join(farm.home, 'agents', agent, 'processes'))).toEqual([]);
      }
    },
    { timeout: 20_000, interval: 100 },
  );
  for (const place of ['incoming', 'uploads', 'quarantine']) {
    expect(await filesIn(join(farm.home, 'coordinator', place))).toEqual([]);
  }
});

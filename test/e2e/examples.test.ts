/**
 * The example services, as they are: each brings a film through a farm whose coordinator is killed while
 * it watches, and is run a second time, which must make no second job.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Clips, frameNumbers } from '../support/clips.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PROTO = join(ROOT, 'proto');
const FRAMES = 100;

interface Example {
  readonly argv: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

let clips: Clips;
let stubs: string;

beforeAll(async () => {
  clips = await Clips.open();
  stubs = mkdtempSync(join(tmpdir(), 'furrow-stubs-'));
});

afterAll(async () => {
  await clips.close();
  rmSync(stubs, { recursive: true, force: true });
});

/** The first Python that sees grpcio, in the order of deploy/setup.sh. */
function findPython(): string {
  const python = ['python3', '/usr/bin/python3'].find((candidate) => {
    try {
      execFileSync(candidate, ['-c', 'import google.protobuf, grpc'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  });
  if (python === undefined) throw new Error('no Python sees grpcio: run deploy/setup.sh --tests');
  return python;
}

/** As its README says: protoc of the system where there is one, else that of grpcio-tools. */
function makeStubs(python: string): void {
  const folder = join(PROTO, 'furrow', 'v1');
  const files = readdirSync(folder).map((name) => join(folder, name));
  const args = ['-I', PROTO, `--python_out=${stubs}`, `--grpc_python_out=${stubs}`, ...files];
  const plugin = execFileSync('sh', ['-c', 'command -v grpc_python_plugin || true'])
    .toString()
    .trim();
  if (plugin === '') execFileSync(python, ['-m', 'grpc_tools.protoc', ...args]);
  else execFileSync('protoc', [`--plugin=protoc-gen-grpc_python=${plugin}`, ...args]);
}

const EXAMPLES: Readonly<Record<string, () => Example>> = {
  node: () => ({
    argv: [process.execPath, join(ROOT, 'examples', 'node', 'transcode.js')],
    environment: {},
  }),
  python: () => {
    const python = findPython();
    makeStubs(python);
    return {
      argv: [python, join(ROOT, 'examples', 'python', 'transcode.py')],
      environment: { PYTHONPATH: stubs, PYTHONDONTWRITEBYTECODE: '1' },
    };
  },
};

/** A run of the example; `lines` grows while it goes on. */
function run({ argv, environment }: Example, farm: TestFarm, ...args: string[]) {
  const [program = '', ...rest] = argv;
  const child = spawn(program, [...rest, ...args], {
    env: { ...process.env, ...environment, FURROW_HOME: farm.home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const take = (chunk: Buffer): void => void lines.push(...chunk.toString().split('\n'));
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { lines, ended, says: (what: RegExp) => lines.some((line) => what.test(line)) };
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

test.each(Object.keys(EXAMPLES))('%s', async (name) => {
  const example = EXAMPLES[name]!();
  const farm = await startFarm({ mediaTools: 'ffmpeg', agents: { one: [], two: [] } });
  const clip = await clips.path('closed-gop');
  const folder = join(farm.workDir, 'out');
  mkdirSync(folder);

  const first = run(example, farm, clip, folder);
  await until('it submitted', () => first.says(/^j1 submitted/));
  await farm.coordinator.kill();
  await until('it notices', () => first.says(/the farm is away/));
  farm.coordinator.start();
  expect([await first.ended, first.lines]).toEqual([0, first.lines]);
  expect(first.lines.filter((line) => /proof 1\/1/.test(line))).toHaveLength(1);

  expect(readdirSync(folder).toSorted()).toEqual(['closed.mp4', 'proof.json']);
  const film = join(folder, 'closed.mp4');
  expect(first.lines).toContain(`${film} ${sha256Of(film)}`);
  const counted = Array.from({ length: FRAMES }, (_, index) => index);
  expect(await frameNumbers(film)).toEqual(counted);

  const second = run(example, farm, clip, folder);
  expect([await second.ended, second.lines]).toEqual([0, second.lines]);
  expect(second.says(/the farm has it already/)).toBe(true);
  expect(second.says(/^j1 had been submitted before/)).toBe(true);
});

test.each(Object.keys(EXAMPLES))('%s says in one line why it was refused', async (name) => {
  const example = EXAMPLES[name]!();
  const farm = await startFarm();
  const clip = await clips.path('closed-gop');
  const wrong = { ...example, environment: { ...example.environment, FURROW_TOKEN: 'wrong' } };
  const { ended, lines } = run(wrong, farm, clip, farm.workDir);
  expect(await ended).toBe(1);
  expect(lines.filter((line) => line !== '')).toEqual([
    expect.stringMatching(/^this is not a token of this farm/),
  ]);
});

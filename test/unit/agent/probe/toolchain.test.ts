/** Proofs of tools, with an ffmpeg and a declared tool that a test breaks while the agent runs. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readProcess } from '../../../../agent/process/process-table.ts';
import { isNvencBusy } from '../../../../agent/probe/ffmpeg-tools.ts';
import { ProvenToolchain } from '../../../../agent/probe/toolchain.ts';
import { trialOf } from '../../../../agent/probe/trial.ts';
import { createLog } from '../../../../kit/log.ts';

const PAUSE_MS = 200;

// Each proof is a dozen processes.
vi.setConfig({ testTimeout: 40_000 });

let folder: string;
let toolchain: ProvenToolchain | undefined;
let changes: number;
let visible: string;

/** Broken encoders say what a file holds; each trial is noted. */
const FFMPEG = `#!/bin/bash
folder=$(dirname "$0")
[[ "$*" != *-encoders* ]] || {
  echo 'ffmpeg version 6.1.1-3ubuntu5 Copyright (c) 2000-2023 the FFmpeg developers' >&2
  printf ' V....D %s             words\\n' libx264 libx265 h264_nvenc
}
while (($# > 0)); do
  if [[ $1 == -c:v ]]; then
    echo "$2" >>"$folder/trials"
    [[ ! -f $folder/broken-$2 ]] || { cat "$folder/broken-$2" >&2; exit 1; }
  fi
  shift
done
`;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-tools-'));
  for (const name of ['ffmpeg', 'ffprobe']) script(name, FFMPEG);
  script('blender', '#!/bin/bash\necho Blender 3.4.1\necho more\n');
  vi.stubEnv('PATH', [folder, process.env['PATH']].join(delimiter));
  [changes, visible] = [0, 'GPU-a,GPU-b'];
});

afterEach(() => {
  toolchain?.stop();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function script(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o755);
}

async function start(
  declared: Record<string, readonly string[]> = {},
  firstPatienceMs?: number,
  signal?: AbortSignal,
): Promise<ProvenToolchain> {
  toolchain = await ProvenToolchain.start({
    declared,
    environment: () => ({ CUDA_VISIBLE_DEVICES: visible }),
    log: createLog({ role: 'test', level: 'silent' }),
    changed: () => (changes += 1),
    pauseMs: PAUSE_MS,
    ...(firstPatienceMs !== undefined && { firstPatienceMs }),
    ...(signal !== undefined && { signal }),
  });
  return toolchain;
}

const trials = (): readonly string[] =>
  readFileSync(join(folder, 'trials'), 'utf8').trimEnd().split('\n');

function pidsIn(path: string): readonly number[] {
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').map(Number) : [];
}

const isRunning = (pid: number): boolean => readProcess(pid) !== null;

const soon = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

test('what works is an attribute, what does not is told with the tool’s own words', async () => {
  writeFileSync(
    join(folder, 'broken-libx265'),
    '[libx265 @ 0x55d4da564880] Cannot open libx265 encoder.\nmore\n',
  );
  const { current } = await start({
    blender: ['blender', '--version'],
    nuke: ['nuke-that-is-not-there'],
  });
  expect(current.attributes).toEqual(
    expect.arrayContaining([
      'tool:ffmpeg',
      'ffmpeg:6.1.1-3ubuntu5',
      'encoder:libx264',
      'tool:blender',
    ]),
  );
  expect(current.attributes).not.toContain('encoder:libx265');
  expect(current.versions).toMatchObject({ ffmpeg: '6.1.1-3ubuntu5', blender: 'Blender 3.4.1' });
  expect(current.faults).toEqual(
    expect.arrayContaining([
      { attribute: 'encoder:libx265', reason: 'Cannot open libx265 encoder.' },
      { attribute: 'tool:nuke', reason: 'there is no program nuke-that-is-not-there' },
    ]),
  );
});

test('after failures all is proven again, but not more often than the pause says', async () => {
  const proven = await start({ blender: ['blender', '--version'] });
  const working = readFileSync(join(folder, 'blender'), 'utf8');
  script(
    'blender',
    '#!/bin/bash\necho "libXi.so.6: cannot open shared object file" >&2\nexit 127\n',
  );
  for (let i = 0; i < 5; i += 1) proven.reprove('a unit failed');
  expect(proven.current.attributes).toContain('tool:blender');
  await soon(() => expect(proven.current.attributes).not.toContain('tool:blender'));
  expect(proven.current.faults).toContainEqual({
    attribute: 'tool:blender',
    reason: 'libXi.so.6: cannot open shared object file',
  });
  expect(proven.current.attributes).toContain('encoder:libx264');
  expect(changes).toBe(1);
  expect(trials().filter((encoder) => encoder === 'libx264')).toHaveLength(2);
  // Nobody asks, for nobody demands it there any more: it is seen all the same.
  script('blender', working);
  await soon(() => expect(proven.current.attributes).toContain('tool:blender'));
});

test('a tool that nobody declared and that hangs is not waited for; it counts once it answers', async () => {
  const working = readFileSync(join(folder, 'blender'), 'utf8');
  script('blender', '#!/bin/bash\nexec sleep 60\n');
  const proven = await start({}, 300);
  expect(proven.current.attributes).toContain('encoder:libx264');
  expect(proven.current.attributes).not.toContain('tool:blender');
  script('blender', working);
  await soon(() => expect(proven.current.attributes).toContain('tool:blender'));
});

test('a tool that hangs ends with the agent, and all that it started', async () => {
  // Waits for a process of its own, as wrappers do: neither may stay.
  const pids = join(folder, 'pids');
  script('renderer', `#!/bin/bash\necho $$ >${pids}\nsleep 600 & echo $! >>${pids}\nwait\n`);
  const over = new AbortController();
  const starting = start({ renderer: ['renderer'] }, 300, over.signal);
  await soon(() => expect(pidsIn(pids)).toHaveLength(2));
  over.abort();
  await starting;
  await soon(() => expect(pidsIn(pids).filter(isRunning)).toEqual([]));
  // And nothing is tried again.
  rmSync(pids);
  toolchain?.reprove('a unit failed');
  expect(toolchain?.current.attributes).not.toContain('tool:renderer');
});

test('an ffmpeg that is gone takes its encoders along', async () => {
  const proven = await start();
  rmSync(join(folder, 'ffmpeg'));
  vi.stubEnv('PATH', folder);
  proven.reprove('a unit failed');
  await soon(() => expect(proven.current.attributes).not.toContain('tool:ffmpeg'));
  expect(proven.current.attributes).not.toContain('encoder:libx264');
  expect(proven.current.faults).toContainEqual({
    attribute: 'tool:ffmpeg',
    reason: 'there is no program ffmpeg',
  });
});

test('sessions that are all in use say nothing of the encoder', () => {
  const busy = 'OpenEncodeSessionEx failed: out of memory (10): (no details)';
  const broken = 'Cannot load libnvidia-encode.so.1';
  expect(trialOf({ state: 'failed', reason: busy }, isNvencBusy).state).toBe('undecided');
  expect(trialOf({ state: 'failed', reason: broken }, isNvencBusy).state).toBe('fails');
  expect(trialOf({ state: 'timed-out' }).state).toBe('undecided');
});

test('a trial sees only GPUs that are well, as they are by then', async () => {
  script('cuda-tool', '#!/bin/bash\necho "sees $CUDA_VISIBLE_DEVICES"\n');
  const proven = await start({ cuda: ['cuda-tool'] });
  expect(proven.current.versions['cuda']).toBe('sees GPU-a,GPU-b');
  visible = 'GPU-b';
  proven.reprove('a GPU is lost');
  await soon(() => expect(proven.current.versions['cuda']).toBe('sees GPU-b'));
});

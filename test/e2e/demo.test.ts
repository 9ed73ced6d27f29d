/** The demo as a newcomer runs it: what it shows, what it leaves on disk, and that it leaves no process. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { asAtUsers } from '../support/at-users.ts';

const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const DEMO_LIMIT_MS = 170_000;

let folder: string;
let temporary: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-demo-test-'));
  // Everything that the demo starts names a folder in here: on its line, or as its HOME.
  temporary = mkdtempSync(join(tmpdir(), 'furrow-demo-tmp-'));
});

afterEach(() => {
  for (const { pid } of leftRunning()) process.kill(pid, 'SIGKILL');
  for (const path of [folder, temporary]) rmSync(path, { recursive: true, force: true });
});

function startDemo(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, 'demo', ...args], {
    cwd: folder,
    env: { ...asAtUsers(), TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const hear = (bytes: Buffer): void => void (text += bytes.toString());
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const hasSaid = (what: RegExp): Promise<void> =>
    vi.waitFor(() => expect(text).toMatch(what), { timeout: 60_000, interval: 50 });
  return { child, ended, said: () => text, hasSaid };
}

function leftRunning(): { pid: number; line: string }[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
        return `${line}${environment}`.includes(temporary) ? [{ pid, line }] : [];
      } catch {
        return [];
      }
    });
}

function clip(seconds: number): string {
  const path = join(folder, 'holiday.mov');
  const picture = `testsrc2=size=640x360:rate=25:duration=${seconds}`;
  const input = ['-f', 'lavfi', '-i', picture, '-vf', 'noise=alls=3:allf=t'];
  const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '25', '-pix_fmt', 'yuv420p'];
  execFileSync('ffmpeg', ['-v', 'error', ...input, ...coding, path]);
  return path;
}

function framesOf(path: string): number {
  const count = '-v error -select_streams v:0 -count_frames -show_entries stream=nb_read_frames';
  const args = [...count.split(' '), '-of', 'csv=p=0', path];
  return Number.parseInt(execFileSync('ffprobe', args).toString(), 10);
}

test(
  'an agent is killed half-way, the other takes its units over, and the film is whole',
  async () => {
    const path = clip(20);
    const film = join(folder, 'furrow-demo', 'holiday.mp4');
    const demo = startDemo(path);
    const [code] = await demo.ended;
    const said = demo.said();

    expect({ code, said }).toEqual({ code: 0, said });
    expect(said).toMatch(/kill -9 \d+: box-[12] is dead/);
    expect(said).toMatch(/encode\/\d+ was lost with box-[12]/);
    expect(said).toMatch(/encode\/\d+ goes to box-[12] \(attempt 2\)/);
    expect(said).toMatch(/^killed +box-[12] with kill -9 after/m);
    expect(said).toMatch(/^lost +encode\/\d+ of box-[12], noticed after .* given to box-[12]/m);
    expect(said).toMatch(/^frames +500 in the source, 500 in the film/m);
    expect(said).toMatch(/^proof +(\d+) of \1 checks hold/m);
    expect(said).toContain(`The film: ${film}`);
    expect(framesOf(film)).toBe(500);
    const proof = JSON.parse(readFileSync(join(folder, 'furrow-demo/holiday.proof.json'), 'utf8'));
    expect(proof).toMatchObject({ ok: true, frames: 500 });
    expect(leftRunning()).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
  },
  DEMO_LIMIT_MS,
);

test(
  'Ctrl-C in the middle leaves no process and no file',
  async () => {
    const demo = startDemo(clip(20));
    await demo.hasSaid(/encode \d+\/\d+/);
    expect(leftRunning().length).toBeGreaterThan(3);
    demo.child.kill('SIGINT');
    const [code] = await demo.ended;

    expect(code).toBe(130);
    expect(demo.said()).toMatch(/furrow: interrupted: .*nothing of it is left running\n$/);
    expect(leftRunning()).toEqual([]);
    expect(readdirSync(temporary)).toEqual([]);
    expect(existsSync(join(folder, 'furrow-demo'))).toBe(false);
  },
  DEMO_LIMIT_MS,
);

test(
  'a second Ctrl-C ends it at once, and still leaves nothing',
  async () => {
    const demo = startDemo(clip(20));
    await demo.hasSaid(/submitted/);
    demo.child.kill('SIGHUP');
    // Later than what npm passes on, and long before a farm stops in good order under load.
    const again = setInterval(() => demo.child.kill('SIGINT'), 100);
    await demo.ended;
    clearInterval(again);

    await vi.waitFor(() => expect(leftRunning()).toEqual([]), { timeout: 10_000 });
    expect(readdirSync(temporary)).toEqual([]);
  },
  DEMO_LIMIT_MS,
);

test('what is no film is refused before anything is started', async () => {
  const notes = join(folder, 'notes.txt');
  writeFileSync(notes, 'buy milk\n');
  const cases: [string, RegExp][] = [
    [notes, /^furrow: '.*notes\.txt' is not a video that ffmpeg can read\n$/],
    [join(folder, 'nowhere.mp4'), /^furrow: there is no file '.*nowhere\.mp4'\n$/],
    [folder, /^furrow: '.*' is a folder: name a file in it\n$/],
  ];
  for (const [path, message] of cases) {
    const demo = startDemo(path);
    expect(await demo.ended).toEqual([2, null]);
    expect(demo.said()).toMatch(message);
  }
  expect(readdirSync(temporary)).toEqual([]);
});

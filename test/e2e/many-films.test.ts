/** One job that makes several films: a ladder of one source, and a folder of many. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ffmpeg, probeLines } from '../support/clips.ts';
import { startUpFarm, type UpFarm } from '../support/up-farm.ts';

let farm: UpFarm;
let folder: string;
beforeAll(async () => {
  farm = await startUpFarm({ agents: 1 });
  folder = await mkdtemp(join(tmpdir(), 'furrow-many-'));
  await mkdir(join(folder, 'films/trip'), { recursive: true });
  await mkdir(join(folder, 'out'));
  const picture = 'testsrc2=s=384x216:r=25:d=2';
  const video = '-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0'.split(' ');
  await ffmpeg(['-f', 'lavfi', '-i', picture, ...video, join(folder, 'films/trip/a.mov')]);
  await writeFile(join(folder, 'films/notes.mp4'), 'this is no film');
});
afterAll(async () => {
  await farm.close();
  await rm(folder, { recursive: true, force: true });
});

test('a ladder leaves out what is beyond the source; its films are cut at the same frames', async () => {
  const rungs = ['--rung', '720p:2M', '--rung', '216p:400k', '--rung', '108p:100k'];
  const pieces = ['--piece-seconds', '1', '--preset', 'ultrafast', '-o', 'out/'];
  const line = ['submit', 'ladder', 'films/trip/a.mov', ...rungs, ...pieces];
  const run = await farm.cli(line, { cwd: folder });
  expect({ code: run.exitCode, said: run.stderr }).toEqual({ code: 0, said: run.stderr });
  expect((await readdir(join(folder, 'out'))).toSorted()).toEqual([
    'a-108p.mp4',
    'a-108p.proof.json',
    'a-216p.mp4',
    'a-216p.proof.json',
  ]);
  const keys = async (name: string) =>
    (await probeLines(join(folder, 'out', name), 'v:0', 'packet=pts_time,flags')).filter((packet) =>
      packet.includes('K'),
    );
  expect(await keys('a-216p.mp4')).toEqual(await keys('a-108p.mp4'));
  expect(await probeLines(join(folder, 'out/a-108p.mp4'), 'v:0', 'stream=width,height')).toEqual([
    '192,108',
  ]);
  const proofs = await farm.cli(['proof', 'j1', '--json']);
  expect(JSON.parse(proofs.stdout)).toMatchObject({ ok: true, proofs: [{}, {}] });
});

test('a folder keeps its names; what is no film fails nothing, and is listed', async () => {
  await mkdir(join(folder, 'encoded'));
  const line = ['submit', 'folder', 'films', '--preset', 'ultrafast', '-o', 'encoded/'];
  const run = await farm.cli(line, { cwd: folder });
  expect(run.exitCode).toBe(4);
  expect(run.stdout).toMatch(/^trip\/a\.mov +proven +50 /m);
  expect(run.stdout).toMatch(/^notes\.mp4 +refused .*is not a video that ffmpeg can read/m);
  expect(run.stdout).toMatch(/^1 of 2 films proven: /m);
  expect(await probeLines(join(folder, 'encoded/trip/a.mp4'), 'v:0', 'stream=nb_frames')).toEqual([
    '50',
  ]);
  const csv = await readFile(join(folder, 'encoded/results.csv'), 'utf8');
  expect(csv).toMatch(/^trip\/a\.mov,trip\/a\.mp4,proven,50,\d+,\d+,[\d.]+,$/m);
  const jobs = await farm.cli(['jobs', '--all', '--json']);
  expect(JSON.parse(jobs.stdout)).toMatchObject({ jobs: [{ recipe: 'folder' }, {}] });
});

test('a folder of hundreds is one job, and all of it is told in a few lines', async () => {
  await mkdir(join(folder, 'hundreds'));
  const write = (name: string, text: string) => writeFile(join(folder, 'hundreds', name), text);
  for (let i = 0; i < 40; i += 1) await write(`words-${i}.mp4`, `no film ${i}`);
  for (let i = 0; i < 300; i += 1) await write(`empty-${i}.mp4`, '');
  const plan = await farm.cli(['submit', 'folder', 'hundreds', '--dry-run'], { cwd: folder });
  expect(plan.stdout.split('\n').length).toBeLessThan(40);
  expect(plan.stdout).toMatch(/^split: 40 units$/m);
  const submitted = await farm.cli(['submit', 'folder', 'hundreds', '--json'], { cwd: folder });
  const { jobId } = JSON.parse(submitted.stdout) as { jobId: string };
  // A command is cut off after a minute; a slow machine needs more for 200 units.
  let watch = await farm.cli(['watch', jobId]);
  while (watch.exitCode === 130) watch = await farm.cli(['watch', jobId]);
  expect(watch.exitCode).toBe(0);
  expect(watch.stdout).toMatch(/split 40\/40, audio 40\/40, .*proof 40\/40, results 1\/1/);
  const list = await farm.cli(['jobs', '--all', '--json']);
  const { jobs } = JSON.parse(list.stdout) as { jobs: { id: string; steps: unknown[] }[] };
  expect(jobs.find(({ id }) => id === jobId)?.steps).toHaveLength(5 * 40 + 1);
  const table = await farm.cli(['results', jobId]);
  expect(table.stdout.match(/ refused /g)).toHaveLength(340);
  expect(table.stdout).toMatch(/^0 of 340 films proven: /m);
});

test('one that takes too many is refused before anything is sent', async () => {
  await mkdir(join(folder, 'many'));
  for (let i = 0; i < 3_001; i += 1) await writeFile(join(folder, `many/${i}.mp4`), 'film');
  const run = await farm.cli(['submit', 'folder', 'many'], { cwd: folder });
  expect(run.exitCode).toBe(2);
  expect(run.stderr).toBe('furrow: 3001 films; the most is 3000 a job: submit several jobs\n');
});

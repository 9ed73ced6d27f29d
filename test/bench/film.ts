/**
 * A film through the farm, on two agents of one core each, against one plain ffmpeg with two threads:
 * the same clip, the same settings. The farm's time runs from the first byte of the upload to the last
 * byte of the proven film, fetched and flushed; `film.carried` says how much of it went into bringing the
 * clip to the farm and the film back, which plain ffmpeg, beside its files, need not do. Runs alternate,
 * so that a busy machine slows both; the figures are ratios of medians.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadBlob, uploadBlob } from '../../kit/blob-transfer.ts';
import { sha256File } from '../../kit/sha256-file.ts';
import { killOnExit } from '../../cli/up/kill-on-exit.ts';
import { BenchFarm, type BenchOptions } from './bench-farm.ts';
import { atMost, percentile, plain, type Figure } from './figure.ts';
import { ending } from './open-ends.ts';
import { cpuSeconds, exitOf } from './processes.ts';

const AGENTS = ['left', 'right'];
const ONE_CORE = ['--cpus', '1'];
const REACH_PERCENT = 5;
const CRF = 23;
const PRESET = 'medium';

/** A film as cameras make it in what matters here: it moves everywhere, has edges, and some grain. */
const PICTURE = [
  "overlay=x='320+300*sin(t/2)':y='180+170*cos(t/3)':shortest=1",
  'noise=alls=2:allf=t',
  'format=yuv420p',
].join(',');

interface Cost {
  readonly wallS: number;
  readonly cpuS: number;
}

export async function measureFilm(
  options: BenchOptions,
  seconds: number,
  rounds: number,
): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-bench-film-'));
  const removeFolder = ending(() => rm(folder, { recursive: true, force: true }));
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents(AGENTS, ONE_CORE);
    await makeClip(join(folder, 'clip.mp4'), seconds);
    const farmed: Cost[] = [];
    const carriedS: number[] = [];
    const bare: Cost[] = [];
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await cost(() => plainEncode(folder)));
      // The same film under another digest: nobody has it in a cache.
      const clip = join(folder, `clip-${round}.mp4`);
      await renamed(join(folder, 'clip.mp4'), clip, round);
      const before = farm.cpuSeconds();
      const spent = await cost(async () => {
        carriedS.push(await farmEncode(farm, clip, join(folder, 'film.mp4')));
      });
      farmed.push({ ...spent, cpuS: spent.cpuS + farm.cpuSeconds() - before });
      await rm(clip);
    }
    return [...figuresOf(farmed, bare), plain('film.carried', percentile(carriedS, 0.5), 's')];
  } finally {
    await farm.close();
    await removeFolder();
  }
}

function figuresOf(farmed: readonly Cost[], bare: readonly Cost[]): Figure[] {
  const median = (costs: readonly Cost[], of: keyof Cost): number =>
    percentile(
      costs.map((cost) => cost[of]),
      0.5,
    );
  const overhead = (of: keyof Cost): number => (median(farmed, of) / median(bare, of) - 1) * 100;
  return [
    atMost('film.overhead', overhead('wallS'), '%', REACH_PERCENT),
    plain('film.cpu_overhead', overhead('cpuS'), '%'),
    plain('film.wall', median(farmed, 'wallS'), 's'),
    plain('film.plain.wall', median(bare, 'wallS'), 's'),
    plain('film.cpu', median(farmed, 'cpuS'), 's'),
    plain('film.plain.cpu', median(bare, 'cpuS'), 's'),
  ];
}

/** What ran took of the clock, and of the CPU in this process and the children it waited for. */
async function cost(run: () => Promise<void>): Promise<Cost> {
  const startMs = performance.now();
  const cpuBefore = cpuSeconds('self');
  await run();
  return {
    wallS: (performance.now() - startMs) / 1000,
    cpuS: cpuSeconds('self') - cpuBefore,
  };
}

/** Answers the seconds that the clip's way to the farm and the film's way back took. */
async function farmEncode(farm: BenchFarm, clip: string, film: string): Promise<number> {
  const startMs = performance.now();
  const { httpUrl: url, token, trust } = farm;
  const target = { url, token, trust };
  const blob = await sha256File(clip);
  await uploadBlob(target, clip, blob);
  const uploadedMs = performance.now();
  const job = await farm.submitWork(`film-${blob.sha256}`, {
    $case: 'transcode',
    value: {
      source: { name: 'clip.mp4', ...blob },
      video: { encoder: 'libx264', crf: CRF, preset: PRESET, width: 0, height: 0, threads: 0 },
      audio: undefined,
      film: 'film.mp4',
      pieceMs: 0,
    },
  });
  const { outputs } = await farm.untilSucceeded(job.id);
  const madeMs = performance.now();
  const made = outputs.find(({ name }) => name === 'film.mp4');
  if (made === undefined) throw new Error('the job made no film');
  await downloadBlob(target, made, film);
  const endMs = performance.now();
  await rm(film);
  return (uploadedMs - startMs + endMs - madeMs) / 1000;
}

async function plainEncode(folder: string): Promise<void> {
  const film = join(folder, 'plain.mp4');
  await ffmpeg([
    ['-threads', '2', '-i', join(folder, 'clip.mp4')],
    ['-c:v', 'libx264', '-crf', String(CRF), '-preset', PRESET, '-threads', '2'],
    ['-c:a', 'aac', '-movflags', '+faststart', film],
  ]);
  await rm(film);
}

async function makeClip(path: string, seconds: number): Promise<void> {
  const zoom = `end_scale=0.002:end_pts=${seconds * 25}:maxiter=300`;
  await ffmpeg([
    ['-f', 'lavfi', '-i', `mandelbrot=size=1280x720:rate=25:start_scale=0.4:${zoom}`],
    ['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25'],
    ['-f', 'lavfi', '-i', 'anoisesrc=color=pink:amplitude=0.1:sample_rate=48000'],
    ['-filter_complex', `[0:v][1:v]${PICTURE}[v]`, '-map', '[v]', '-map', '2:a'],
    ['-t', String(seconds), '-c:v', 'libx264', '-preset', 'ultrafast', '-crf', '18'],
    // As most encoders set keyframes by themselves.
    ['-g', '250', '-keyint_min', '25', '-c:a', 'aac', path],
  ]);
}

async function renamed(from: string, to: string, round: number): Promise<void> {
  await ffmpeg([['-i', from, '-c', 'copy', '-metadata', `title=round ${round}`, to]]);
}

async function ffmpeg(options: readonly (readonly string[])[]): Promise<void> {
  const argv = ['-nostdin', '-v', 'error', '-y', ...options.flat()];
  const child: ChildProcess = spawn('ffmpeg', argv, { stdio: ['ignore', 'inherit', 'inherit'] });
  killOnExit(child);
  await Promise.race([
    exitOf(child),
    once(child, 'error').then(([error]) => Promise.reject(error as Error)),
  ]);
  if (child.exitCode !== 0) throw new Error(`ffmpeg failed (${argv.join(' ')})`);
}

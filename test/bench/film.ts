/**
 * A film through the farm, on one agent of one core and then on two of them, against one plain ffmpeg with as many
 * threads: the same clip, the same settings. The farm's time runs from the first byte of the upload to the last
 * byte of the proven film, fetched and flushed; `carried` says how much of it went into bringing the clip to the
 * farm and the film back, which plain ffmpeg, beside its files, need not do. Runs alternate, so that a busy
 * machine slows both; the figures are ratios of medians. Each film must have exactly the source's frames.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadBlob, uploadBlob } from '../../kit/blob-transfer.ts';
import { sha256File } from '../../kit/sha256-file.ts';
import { killOnExit } from '../../cli/up/kill-on-exit.ts';
import { BenchFarm, type BenchOptions } from './bench-farm.ts';
import { atMost, percentile, plain, type Figure } from './figure.ts';
import { refuseOtherFrames, ssimOf } from './film-likeness.ts';
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

/** What a farm's film may lose of its likeness to the source against the plain one, which has fewer keyframes. */
const SSIM_LOSS = 0.0005;

interface Cost {
  readonly wallS: number;
  readonly cpuS: number;
}

interface Likeness {
  readonly ssim: number;
  readonly sizeBytes: number;
}

/** Rounds on so many agents. */
interface Rounds {
  readonly farmed: Cost[];
  readonly bare: Cost[];
  readonly carriedS: number[];
  /** Bytes of blobs that agents took or gave. */
  readonly movedBytes: number[];
  readonly farmedFilm: Likeness;
  readonly bareFilm: Likeness;
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
    await makeClip(join(folder, 'clip.mp4'), seconds);
    const figures: Figure[] = [];
    for (const [i, agent] of AGENTS.entries()) {
      await farm.addAgents([agent], [...ONE_CORE, '--log-level', 'debug']);
      const agents = AGENTS.slice(0, i + 1);
      figures.push(...figuresOf(agents.length, await measureRounds(farm, folder, agents, rounds)));
    }
    return figures;
  } finally {
    await farm.close();
    await removeFolder();
  }
}

async function measureRounds(
  farm: BenchFarm,
  folder: string,
  agents: readonly string[],
  rounds: number,
): Promise<Rounds> {
  const clip = join(folder, 'clip.mp4');
  const film = join(folder, 'film.mp4');
  const plainFilm = join(folder, 'plain.mp4');
  const costs = { farmed: [] as Cost[], bare: [] as Cost[] };
  const carriedS: number[] = [];
  const movedBytes: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    costs.bare.push(await cost(() => plainEncode(clip, plainFilm, agents.length)));
    // The same film under another digest: nobody has it in a cache.
    const unknown = join(folder, 'unknown.mp4');
    await renamed(clip, unknown, `${agents.length} agents, round ${round}`);
    const before = farm.cpuSeconds();
    const movedBefore = await moved(farm, agents);
    const spent = await cost(async () => {
      carriedS.push(await farmEncode(farm, unknown, film));
    });
    costs.farmed.push({ ...spent, cpuS: spent.cpuS + farm.cpuSeconds() - before });
    movedBytes.push((await moved(farm, agents)) - movedBefore);
    await refuseOtherFrames(film, clip);
  }
  return {
    ...costs,
    carriedS,
    movedBytes,
    farmedFilm: await likeness(film, clip),
    bareFilm: await likeness(plainFilm, clip),
  };
}

async function likeness(film: string, clip: string): Promise<Likeness> {
  return { ssim: await ssimOf(film, clip), sizeBytes: (await stat(film)).size };
}

/** Bytes of blobs that these agents fetched or stored so far. */
async function moved(farm: BenchFarm, agents: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const agent of agents) {
    const fetched = await farm.logOf(agent, 'blob fetched');
    // What the farm had already was not sent.
    const stored = (await farm.logOf(agent, 'blob stored')).filter(({ sent }) => sent === true);
    for (const { sizeBytes } of [...fetched, ...stored]) bytes += Number(sizeBytes);
  }
  return bytes;
}

function figuresOf(agents: number, rounds: Rounds): Figure[] {
  const { farmed, bare, farmedFilm, bareFilm } = rounds;
  const median = (costs: readonly Cost[], of: keyof Cost): number =>
    percentile(
      costs.map((cost) => cost[of]),
      0.5,
    );
  const overhead = (of: keyof Cost): number => (median(farmed, of) / median(bare, of) - 1) * 100;
  const on = `film.on${agents}`;
  return [
    atMost(`${on}.overhead`, overhead('wallS'), '%', REACH_PERCENT),
    plain(`${on}.cpu_overhead`, overhead('cpuS'), '%'),
    plain(`${on}.wall`, median(farmed, 'wallS'), 's'),
    plain(`${on}.plain.wall`, median(bare, 'wallS'), 's'),
    plain(`${on}.cpu`, median(farmed, 'cpuS'), 's'),
    plain(`${on}.plain.cpu`, median(bare, 'cpuS'), 's'),
    plain(`${on}.carried`, percentile(rounds.carriedS, 0.5), 's'),
    plain(`${on}.moved`, percentile(rounds.movedBytes, 0.5), 'B'),
    atMost(`${on}.ssim_loss`, bareFilm.ssim - farmedFilm.ssim, '', SSIM_LOSS),
    plain(`${on}.size_overhead`, (farmedFilm.sizeBytes / bareFilm.sizeBytes - 1) * 100, '%'),
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
  return (uploadedMs - startMs + endMs - madeMs) / 1000;
}

async function plainEncode(clip: string, film: string, threads: number): Promise<void> {
  const count = String(threads);
  await ffmpeg([
    ['-threads', count, '-i', clip],
    ['-c:v', 'libx264', '-crf', String(CRF), '-preset', PRESET, '-threads', count],
    ['-c:a', 'aac', '-movflags', '+faststart', film],
  ]);
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

async function renamed(from: string, to: string, title: string): Promise<void> {
  await ffmpeg([['-i', from, '-c', 'copy', '-metadata', `title=${title}`, to]]);
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

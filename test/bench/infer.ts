/**
 * Pictures through a model on an agent of one core, against a bare loop of onnxruntime on one thread with the same
 * model and pictures that are decoded already: the farm decodes them, moves them, joins and proves the results. Each
 * run comes between two of the bare loop, so that a busy machine slows both. And how soon a job of many tiny pictures
 * is queued once they are uploaded. The model is a real one, where this machine has it; else only the latter is
 * measured.
 */
import { spawn } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uploadMany } from '../../cli/upload-many.ts';
import { downloadBlob, uploadBlob } from '../../kit/blob-transfer.ts';
import { lineOf } from '../../kit/file-list.ts';
import { sha256File } from '../../kit/sha256-file.ts';
import type { File } from '../../proto/gen/furrow/v1/step.ts';
import { readManifest } from '../../proto/read-manifest.ts';
import { hasSharedPhotos, openBareYolox, SHARED_MODELS } from '../support/looking.ts';
import { BenchFarm, type BenchOptions } from './bench-farm.ts';
import { atLeast, atMost, type Figure, percentile, plain } from './figure.ts';
import { unitTimes } from './first-frame.ts';
import { ending } from './open-ends.ts';
import { exitOf } from './processes.ts';

const ROUNDS = 3;
const QUEUED_JOBS = 5;
const REACH_SHARE = 0.9;
const REACH_QUEUED_MS = 100;
const SIDE = 416;

/** `pictures` are looked at, `tiny` ones only queued. */
export async function measureInfer(
  options: BenchOptions,
  pictures: number,
  tiny: number,
): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-bench-infer-'));
  const removeFolder = ending(() => rm(folder, { recursive: true, force: true }));
  const farm = await BenchFarm.start(options);
  try {
    const queuedMs = await queueTiny(farm, join(folder, 'tiny'), tiny);
    const figures = [
      atMost('infer.queued', percentile(queuedMs, 0.5), 'ms', REACH_QUEUED_MS),
      // By a coordinator that has never seen a list.
      plain('infer.queued_first', queuedMs[0]!, 'ms'),
    ];
    if (!hasSharedPhotos) return figures;
    await farm.addAgents(['only'], ['--cpus', '1']);
    return [...figures, ...(await againstBare(farm, folder, pictures))];
  } finally {
    await farm.close();
    await removeFolder();
  }
}

async function againstBare(farm: BenchFarm, folder: string, pictures: number): Promise<Figure[]> {
  await addYolox(farm);
  await makePictures(join(folder, 'pictures'), pictures);
  const list = await upload(farm, join(folder, 'pictures'));
  // The first one loads the model, as no later one does.
  const cold = await look(farm, list, 'warm-up', folder);
  const openMs = performance.now();
  const bare = await openBareYolox(1);
  const input = new Float32Array(3 * SIDE * SIDE).fill(114);
  await bare.run(input);
  const bareFirstMs = performance.now() - openMs;
  const bareRate = async (): Promise<number> => {
    const startMs = performance.now();
    for (let n = 0; n < pictures; n += 1) await bare.run(input);
    return (pictures / (performance.now() - startMs)) * 1000;
  };
  const rounds: (Looked & { readonly bare: number })[] = [];
  let before = await bareRate();
  for (let round = 0; round < ROUNDS; round += 1) {
    const looked = await look(farm, list, `round-${round}`, folder);
    const after = await bareRate();
    // A machine's speed changes by the second: what came just before and just after is what counts.
    rounds.push({ bare: (before + after) / 2, ...looked });
    before = after;
  }
  const median = (of: (round: (typeof rounds)[number]) => number): number =>
    percentile(rounds.map(of), 0.5);
  return [
    atLeast(
      'infer.share_of_bare',
      median(({ units, bare }) => units / bare),
      '',
      REACH_SHARE,
    ),
    plain(
      'infer.job_share_of_bare',
      median(({ farmed, bare }) => farmed / bare),
      '',
    ),
    // Against a model that is loaded and run once, and against a picture of one that runs.
    plain('infer.first_picture_cold', cold.firstMs / bareFirstMs, 'bare'),
    plain(
      'infer.first_picture_warm',
      median(({ firstMs, bare }) => (firstMs * bare) / 1000),
      'bare',
    ),
    plain(
      'infer.images',
      median(({ units }) => units),
      '1/s',
    ),
    plain(
      'infer.bare.images',
      median((round) => round.bare),
      '1/s',
    ),
  ];
}

interface List {
  readonly list: File;
  readonly count: number;
  readonly filesBytes: number;
}

interface Looked {
  /** Pictures a second of the whole job. */
  readonly farmed: number;
  /** And while its units look. */
  readonly units: number;
  /** Of the first unit, from its grant to its first pictures. */
  readonly firstMs: number;
}

async function look(
  farm: BenchFarm,
  pictures: List,
  name: string,
  folder: string,
): Promise<Looked> {
  const startMs = performance.now();
  const { id } = await submit(farm, pictures, name);
  const { firstMs } = await unitTimes(farm, id, 'infer');
  const { outputs } = await farm.untilSucceeded(id);
  const farmed = (pictures.count / (performance.now() - startMs)) * 1000;
  const summary = outputs.find((file) => file.name === 'summary.json');
  if (summary === undefined) throw new Error('the job left no summary');
  const path = join(folder, `${name}.json`);
  await downloadBlob(targetOf(farm), summary, path);
  const { imagesPerSecond } = JSON.parse(await readFile(path, 'utf8')) as {
    imagesPerSecond: number;
  };
  return { farmed, units: imagesPerSecond, firstMs };
}

function submit(farm: BenchFarm, value: List, name: string) {
  return farm.submitWork(name, {
    $case: 'infer',
    value: {
      source: { $case: 'pictures', value },
      model: 'yolox',
      batch: 0,
      most: 0,
      everyMs: 0,
      perUnit: 0,
      provider: '',
      vramBytes: 0,
    },
  });
}

/** Milliseconds from a submit of many to its answer, of one job after another. */
async function queueTiny(farm: BenchFarm, folder: string, tiny: number): Promise<number[]> {
  await mkdir(folder);
  for (let n = 0; n < tiny; n += 1) {
    await writeFile(join(folder, `${String(n).padStart(6, '0')}.png`), `tiny picture ${n}`);
  }
  const times: number[] = [];
  for (let n = 0; n < QUEUED_JOBS; n += 1) {
    // The pictures are there; the list is another.
    await writeFile(join(folder, `more-${n}.png`), `one more, ${n}`);
    const space = await upload(farm, folder);
    const startMs = performance.now();
    const { id: jobId } = await submitTiny(farm, `tiny-${n}`, space);
    times.push(performance.now() - startMs);
    // Nobody is to work on it while others are measured.
    const { jobs } = farm.client;
    await farm.client.call(jobs.cancelJob.bind(jobs), { jobId, reason: 'measured' });
  }
  return times;
}

function submitTiny(farm: BenchFarm, name: string, space: List) {
  return farm.submit(name, [
    {
      name: 'nothing',
      dependsOn: [],
      parameters: { kind: { $case: 'fileList', value: { ...space, perUnit: 256 } } },
      task: { kind: { $case: 'noop', value: {} } },
      inputs: [],
      outputs: [],
      demand: undefined,
      limits: undefined,
    },
  ]);
}

/** Brings a folder's files to the farm, and their list. */
async function upload(farm: BenchFarm, folder: string): Promise<List> {
  const names = (await readdir(folder)).toSorted();
  const locals = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      return { path, name, sizeBytes: (await stat(path)).size };
    }),
  );
  const { signal } = new AbortController();
  setMaxListeners(0, signal);
  const files = await uploadMany(targetOf(farm), locals, { signal, onProgress: () => undefined });
  const path = `${folder}.list`;
  await writeFile(path, files.map(lineOf).join(''));
  const blob = await sha256File(path);
  await uploadBlob(targetOf(farm), path, blob);
  const filesBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { list: { name: 'list', ...blob }, count: files.length, filesBytes };
}

async function addYolox(farm: BenchFarm): Promise<void> {
  const path = join(SHARED_MODELS, 'yolox_nano.onnx');
  const blob = await sha256File(path);
  await uploadBlob(targetOf(farm), path, blob);
  const json = await readFile(join(process.cwd(), 'examples/models/yolox_nano.json'), 'utf8');
  const read = readManifest(JSON.parse(json));
  if (read.state !== 'ok') throw new Error(read.fault);
  const { models } = farm.client;
  const file = { name: 'yolox_nano.onnx', ...blob };
  const request = { name: 'yolox', file, manifest: read.manifest, replace: false };
  await farm.client.call(models.addModel.bind(models), request);
}

async function makePictures(folder: string, pictures: number): Promise<void> {
  await mkdir(folder);
  const source = ['-f', 'lavfi', '-i', 'testsrc2=s=480x360:r=30', '-frames:v', String(pictures)];
  const child = spawn('ffmpeg', ['-v', 'error', ...source, join(folder, '%06d.jpg')], {
    stdio: 'inherit',
  });
  await exitOf(child);
}

function targetOf({ httpUrl: url, token, trust }: BenchFarm) {
  return { url, token, trust };
}

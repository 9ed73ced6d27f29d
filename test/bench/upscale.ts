/**
 * Frames through a model on a farm's agent of one core, against a bare loop of onnxruntime-node on one thread: the
 * same model, pictures of the same size. The farm's time is that of the unit, from its start to its result: it
 * decodes, enlarges, encodes and proves the chunk. Runs alternate, so that a busy machine slows both; figures are
 * ratios. With the models of `../shared/models` where they are, else with a made one.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { NO_TELEMETRY } from '../../agent/models/no-telemetry.ts';
import { uploadBlob } from '../../kit/blob-transfer.ts';
import { sha256File } from '../../kit/sha256-file.ts';
import { ChannelOrder, ModelKind, ModelManifest } from '../../proto/gen/furrow/v1/model.ts';
import { deepModel } from '../support/onnx-models.ts';
import { BenchFarm, type BenchOptions } from './bench-farm.ts';
import { atLeast, percentile, plain, type Figure } from './figure.ts';
import { type UnitTimes, unitTimes } from './first-frame.ts';
import { ending } from './open-ends.ts';

const exec = promisify(execFile);
const SIZE = { width: 240, height: 180 };
const REACH = 0.9;
const FPS = 25;

interface Bare {
  readonly firstMs: number;
  readonly restMs: number;
}

export async function measureUpscale(
  options: BenchOptions,
  frames: number,
  rounds: number,
): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-bench-upscale-'));
  const removeFolder = ending(() => rm(folder, { recursive: true, force: true }));
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents(['box'], ['--cpus', '1']);
    const model = join(folder, 'model.onnx');
    const scale = await placeModel(options.packageRoot, model);
    await addModel(farm, model, scale);
    const bare: Bare[] = [];
    const units: UnitTimes[] = [];
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await bareLoop(model, frames));
      const clip = join(folder, `clip-${round}.mp4`);
      await makeClip(clip, frames, round);
      units.push(await timesOf(farm, clip));
    }
    const bareMs = medianOf(bare, ({ restMs }) => restMs);
    // The first unit starts the model's process, the others find it.
    const [cold, ...others] = units;
    const warm = medianOf(others, ({ heldMs }) => heldMs);
    const warmFirst = medianOf(others, ({ firstMs }) => firstMs);
    const bareFirst = medianOf(bare, ({ firstMs }) => firstMs);
    const oneMs = bareMs / frames;
    return [
      atLeast('upscale.of_bare_loop', bareMs / warm, '', REACH),
      plain('upscale.of_bare_loop_cold', bareMs / cold!.heldMs, ''),
      plain('upscale.bare_frames_per_s', (frames * 1000) / bareMs, '1/s'),
      // Against a bare process from its start, and against a frame of one that runs.
      plain('upscale.first_frame_cold', cold!.firstMs / bareFirst, 'bare'),
      plain('upscale.first_frame_warm', warmFirst / oneMs, 'bare'),
    ];
  } finally {
    await farm.close();
    await removeFolder();
  }
}

function medianOf<Run>(runs: readonly Run[], ms: (run: Run) => number): number {
  return percentile(runs.map(ms), 0.5);
}

/** Answers its scale. */
async function placeModel(packageRoot: string, path: string): Promise<number> {
  const real = join(packageRoot, '..', 'shared', 'models', 'realesr-animevideov3-x4.onnx');
  if (existsSync(real)) {
    await writeFile(path, await readFile(real));
    return 4;
  }
  await writeFile(path, deepModel(2, 48, 12));
  return 2;
}

async function addModel(farm: BenchFarm, path: string, scale: number): Promise<void> {
  const { httpUrl: url, token, trust, client } = farm;
  const blob = await sha256File(path);
  await uploadBlob({ url, token, trust }, path, blob);
  const manifest = ModelManifest.fromPartial({
    kind: ModelKind.MODEL_KIND_UPSCALE,
    licence: 'BSD-3-Clause',
    channels: ChannelOrder.CHANNEL_ORDER_RGB,
    scale,
    halo: 18,
  });
  const file = { name: 'model.onnx', ...blob };
  const request = { name: 'bench', file, manifest, replace: true };
  await client.call(client.models.addModel.bind(client.models), request);
}

async function bareLoop(model: string, frames: number): Promise<Bare> {
  const script = join(import.meta.dirname, 'bare-onnx.js');
  const argv = [script, model, String(SIZE.width), String(SIZE.height), String(frames)];
  const { stdout } = await exec(process.execPath, argv, {
    env: { ...process.env, ...NO_TELEMETRY },
  });
  return JSON.parse(stdout) as Bare;
}

/** Of the unit that makes the film's one chunk. */
async function timesOf(farm: BenchFarm, clip: string): Promise<UnitTimes> {
  const { httpUrl: url, token, trust } = farm;
  const blob = await sha256File(clip);
  await uploadBlob({ url, token, trust }, clip, blob);
  const video = {
    encoder: 'libx264',
    crf: 23,
    preset: 'ultrafast',
    width: 0,
    height: 0,
    threads: 0,
  };
  const job = await farm.submitWork(`upscale-${blob.sha256}`, {
    $case: 'upscale',
    value: {
      source: { name: 'clip.mp4', ...blob },
      model: 'bench',
      scale: 0,
      video,
      audio: undefined,
      film: 'film.mp4',
      pieceMs: 3_600_000,
      provider: '',
      cpus: 1,
      ramBytes: 0,
      vramBytes: 0,
      pictures: undefined,
      format: '',
      quality: 0,
      perUnit: 0,
    },
  });
  const times = await unitTimes(farm, job.id, 'encode');
  await farm.untilSucceeded(job.id);
  return times;
}

async function makeClip(path: string, frames: number, round: number): Promise<void> {
  const source = `testsrc2=size=${SIZE.width}x${SIZE.height}:rate=${FPS},hue=h=${round * 10}`;
  const argv = ['-v', 'error', '-f', 'lavfi', '-i', source, '-frames:v', String(frames)];
  await exec('ffmpeg', [...argv, '-c:v', 'libx264', '-g', String(frames), path]);
}

/**
 * Looks at pictures without any of the farm's code: ffmpeg decodes them at their own size, the rest is done here by
 * hand. What the farm finds is held against it; the bench is, too.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NO_TELEMETRY } from '../../agent/models/no-telemetry.ts';

/** Of the checkout, where tests and benches start. */
const SHARED = join(process.cwd(), '..', 'shared');
/** Real models and photos, where this machine has them: they are no part of the project. */
export const SHARED_MODELS = join(SHARED, 'models');
export const SHARED_PHOTOS = join(SHARED, 'media', 'photos');
export const hasSharedPhotos = existsSync(SHARED_PHOTOS) && existsSync(SHARED_MODELS);

export interface Seen {
  readonly label: string;
  readonly score: number;
  /** Left, top, right, bottom. */
  readonly box: readonly number[];
}

const SIDE = 416;
const FILL = 114;

export interface BareYolox {
  /** What is surest in a picture of this size, of tightly packed RGB; undefined where nothing is sure. */
  best(
    rgb: Uint8Array,
    width: number,
    height: number,
    threshold: number,
  ): Promise<Seen | undefined>;
  /** The model alone, on a picture that is ready. */
  run(input: Float32Array): Promise<Float32Array>;
}

export async function openBareYolox(threads: number): Promise<BareYolox> {
  Object.assign(process.env, NO_TELEMETRY);
  // Optional: it is not on every machine.
  const ort = await import('onnxruntime-node');
  const session = await ort.InferenceSession.create(join(SHARED_MODELS, 'yolox_nano.onnx'), {
    logSeverityLevel: 3,
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
  });
  const manifest = join(process.cwd(), 'examples', 'models', 'yolox_nano.json');
  const { labels } = JSON.parse(readFileSync(manifest, 'utf8')) as { labels: string[] };
  const run = async (input: Float32Array): Promise<Float32Array> => {
    const { output } = await session.run({
      images: new ort.Tensor('float32', input, [1, 3, SIDE, SIDE]),
    });
    return output!.data as Float32Array;
  };
  return {
    run,
    best: async (rgb, width, height, threshold) => {
      const ratio = Math.min(SIDE / width, SIDE / height);
      const out = await run(letterboxed(rgb, width, height, ratio));
      return bestOf(out, ratio, labels, threshold);
    },
  };
}

/** Blue, green, red; the nearest four pixels of the original for each. */
function letterboxed(rgb: Uint8Array, width: number, height: number, ratio: number): Float32Array {
  const input = new Float32Array(3 * SIDE * SIDE).fill(FILL);
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  for (let y = 0; y < high; y += 1) {
    const fromY = Math.min(height - 1, Math.max(0, (y + 0.5) / ratio - 0.5));
    for (let x = 0; x < wide; x += 1) {
      const fromX = Math.min(width - 1, Math.max(0, (x + 0.5) / ratio - 0.5));
      const [x0, y0] = [Math.floor(fromX), Math.floor(fromY)];
      const [x1, y1] = [Math.min(width - 1, x0 + 1), Math.min(height - 1, y0 + 1)];
      const [dx, dy] = [fromX - x0, fromY - y0];
      for (let channel = 0; channel < 3; channel += 1) {
        const at = (px: number, py: number): number => rgb[(py * width + px) * 3 + channel]!;
        const upper = at(x0, y0) * (1 - dx) + at(x1, y0) * dx;
        const lower = at(x0, y1) * (1 - dx) + at(x1, y1) * dx;
        input[(2 - channel) * SIDE * SIDE + y * SIDE + x] = upper * (1 - dy) + lower * dy;
      }
    }
  }
  return input;
}

function bestOf(
  out: Float32Array,
  ratio: number,
  labels: readonly string[],
  threshold: number,
): Seen | undefined {
  const row = 5 + labels.length;
  let [best, bestScore, bestClass] = [-1, threshold, 0];
  for (let i = 0; i < out.length / row; i += 1) {
    for (let c = 0; c < labels.length; c += 1) {
      const score = out[i * row + 4]! * out[i * row + 5 + c]!;
      if (score > bestScore) [best, bestScore, bestClass] = [i, score, c];
    }
  }
  if (best < 0) return undefined;
  const cell = cellOf(best);
  const [ox, oy, ow, oh] = out.subarray(best * row, best * row + 4);
  const [x, y] = [(ox! + cell.x) * cell.stride, (oy! + cell.y) * cell.stride];
  const [w, h] = [Math.exp(ow!) * cell.stride, Math.exp(oh!) * cell.stride];
  const box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2].map((side) => side / ratio);
  return { label: labels[bestClass]!, score: bestScore, box };
}

function cellOf(index: number): {
  readonly x: number;
  readonly y: number;
  readonly stride: number;
} {
  let rest = index;
  for (const stride of [8, 16, 32]) {
    const side = SIDE / stride;
    if (rest < side * side) return { x: rest % side, y: Math.floor(rest / side), stride };
    rest -= side * side;
  }
  throw new Error(`there is no cell ${index}`);
}

/** A picture at its own size. */
export function decoded(path: string): { rgb: Uint8Array; width: number; height: number } {
  const probe = ['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'stream=width,height'];
  const size = execFileSync('ffprobe', [...probe, '-of', 'csv=p=0', path]).toString();
  const [width = 0, height = 0] = size.split(',').map(Number);
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  const rgb = execFileSync('ffmpeg', ['-v', 'error', '-i', path, ...raw], { maxBuffer: 2 ** 28 });
  return { rgb, width, height };
}

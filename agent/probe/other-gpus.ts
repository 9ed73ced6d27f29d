/**
 * GPUs of other makers, for people to see. What is known of them is too little to book them: no tool tells
 * how much of their memory is in use, and on Linux not even how much they have (what `lspci` calls memory
 * is a window on it). Their encoders are proven, and demanded, like any other.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import { runTool } from './run-tool.ts';

const MIB = 1024 * 1024;
const TIMEOUT_MS = 20_000;
const REASON =
  'how much of its memory is in use cannot be told: units are given NVIDIA GPUs; demand its encoders instead';

interface Controller {
  readonly vendor: string;
  readonly model: string;
  readonly vram: number | null;
  readonly busAddress: string;
}

/**
 * Asks systeminformation in a process of its own: it waits for other programs without giving the thread
 * back, for seconds where one of them is slow. Empty when nothing comes of it.
 */
export async function probeOtherGpus(): Promise<readonly Gpu[]> {
  // Without a graphics device there is none that ffmpeg could use, whatever else is plugged in.
  if (process.platform === 'linux' && !existsSync('/dev/dri')) return [];
  const library = createRequire(import.meta.url).resolve('systeminformation');
  const script = `require(${JSON.stringify(library)}).graphics().then(({ controllers }) => console.log(JSON.stringify(controllers)))`;
  const answer = await runTool(process.execPath, ['-e', script], TIMEOUT_MS);
  if (answer === null) return [];
  try {
    return otherGpusOf(JSON.parse(answer) as readonly Partial<Controller>[], process.platform);
  } catch {
    return [];
  }
}

/** Of what `graphics()` lists, those that nvidia-smi does not tell of. */
export function otherGpusOf(
  controllers: readonly Partial<Controller>[],
  platform: NodeJS.Platform,
): readonly Gpu[] {
  return controllers.flatMap(({ vendor = '', model = '', vram = null, busAddress = '' }, index) => {
    if (!/amd|advanced micro|\bati\b|intel|apple/i.test(`${vendor} ${model}`)) return [];
    return [
      {
        id: busAddress || `gpu-${index}`,
        name: [vendor, model].filter((word) => word !== '').join(' '),
        vramTotalBytes: platform === 'linux' ? 0 : (vram ?? 0) * MIB,
        vramForeignBytes: 0,
        vramFreeBytes: 0,
        driver: '',
        vramOursBytes: 0,
        unusableReason: REASON,
      },
    ];
  });
}

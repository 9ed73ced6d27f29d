/**
 * NVIDIA GPUs, as nvidia-smi tells them. Asked in a child process that may hang: a cold call takes
 * seconds, and systeminformation's own query of it blocks the event loop.
 */
import type { Gpu } from '../../proto/gen/furrow/v1/agent_service.ts';
import { runTool } from './run-tool.ts';

const TIMEOUT_MS = 10_000;
const MIB = 1024 * 1024;
const GPU_FIELDS = 'uuid,name,memory.total,memory.used,memory.free,memory.reserved';
const FORMAT = '--format=csv,noheader,nounits';

/** Null when there is no nvidia-smi, or it gives no answer in time. */
export async function probeGpus(isOurs: (pid: number) => boolean): Promise<readonly Gpu[] | null> {
  const [gpus, apps] = await Promise.all([
    runTool('nvidia-smi', [`--query-gpu=${GPU_FIELDS}`, FORMAT], TIMEOUT_MS),
    runTool('nvidia-smi', ['--query-compute-apps=pid,gpu_uuid,used_memory', FORMAT], TIMEOUT_MS),
  ]);
  return gpus === null ? null : parseGpus(gpus, apps ?? '', isOurs);
}

/**
 * GPUs whose memory is known. What our own processes use is not foreign; where the driver does not
 * tell memory by process (`[N/A]`), all that is used counts as foreign: too little is better than a
 * unit that does not fit.
 */
export function parseGpus(
  gpuCsv: string,
  appCsv: string,
  isOurs: (pid: number) => boolean,
): readonly Gpu[] {
  const ours = new Map<string, number>();
  for (const [pid, uuid, used] of rows(appCsv)) {
    const usedMib = figure(used);
    if (uuid === undefined || usedMib === null || !isOurs(Number(pid))) continue;
    ours.set(uuid, (ours.get(uuid) ?? 0) + usedMib);
  }
  return rows(gpuCsv).flatMap(([id, name, total, used, free, reserved]) => {
    const totalMib = figure(total);
    const usedMib = figure(used);
    if (id === undefined || id === '' || totalMib === null || usedMib === null) return [];
    // `used` leaves out what the driver keeps for itself on newer drivers, and holds it on older ones.
    const freeMib = figure(free) ?? Math.max(0, totalMib - usedMib - (figure(reserved) ?? 0));
    const foreignMib = Math.max(0, totalMib - freeMib - (ours.get(id) ?? 0));
    return [
      {
        id,
        name: name ?? '',
        vramTotalBytes: totalMib * MIB,
        vramForeignBytes: foreignMib * MIB,
        vramFreeBytes: freeMib * MIB,
      },
    ];
  });
}

function rows(csv: string): readonly (readonly string[])[] {
  return csv
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(',').map((cell) => cell.trim()));
}

/** Null for `[N/A]`, `[Not Supported]` and the like. */
function figure(cell: string | undefined): number | null {
  const value = cell === undefined || cell === '' ? Number.NaN : Number(cell);
  return Number.isFinite(value) ? value : null;
}

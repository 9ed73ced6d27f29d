/** One look at who uses this machine: its input, its processors, its GPUs. */
import { cpuTimesNow, ForeignLoad } from './foreign-load.ts';
import { InputIdle } from './input-idle.ts';
import type { UseReading } from './use-watch.ts';

export interface UseReaderOptions {
  /** Whether a process group is a unit's. */
  readonly isOurs: (group: number) => boolean;
  /** How busy the busiest GPU but these is, in percent; undefined when there is none, or unknown. */
  readonly busiestGpuBut: (gpuIds: ReadonlySet<string>) => number | undefined;
  /** Those that units use, by id. */
  readonly gpusInUse: () => ReadonlySet<string>;
}

export function useReader(options: UseReaderOptions): () => Promise<UseReading> {
  const { isOurs, busiestGpuBut, gpusInUse } = options;
  const input = new InputIdle();
  const load = new ForeignLoad(() => cpuTimesNow(isOurs));
  let usedBefore: ReadonlySet<string> = new Set();
  return async () => {
    const loadPercent = load.read();
    const used = gpusInUse();
    // A unit may have ended since: what its GPU shows is an average over a moment that it had part in.
    const gpuPercent = busiestGpuBut(new Set([...used, ...usedBefore]));
    usedBefore = used;
    return { inputIdleMs: await input.read(), loadPercent, gpuPercent };
  };
}

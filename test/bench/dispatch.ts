/** Units a second, from the submit to the last accepted result as a client sees it. */
import { BenchFarm, noopStep, type BenchOptions } from './bench-farm.ts';
import { atLeast, plain, type Figure } from './figure.ts';

const AGENTS = ['left', 'right'];
const SLOTS_PER_AGENT = 2;
const REACH_PER_S = 3_000;

export async function measureDispatch(options: BenchOptions, units: number): Promise<Figure[]> {
  const slots = await dispatchRate(options, units, ['--max-units', String(SLOTS_PER_AGENT)]);
  // As many at once as an agent takes: what batches can do.
  const wide = await dispatchRate(options, units, []);
  return [
    atLeast('dispatch.units_per_s', slots, '1/s', REACH_PER_S),
    plain('dispatch.wide.units_per_s', wide, '1/s'),
  ];
}

async function dispatchRate(
  options: BenchOptions,
  units: number,
  flags: readonly string[],
): Promise<number> {
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents(AGENTS, flags);
    // The first units of a process compile its code: they are not counted.
    const warm = await farm.submit('warm', [noopStep('warm', Math.ceil(units / 10))]);
    await farm.untilSucceeded(warm.id);
    const startMs = performance.now();
    const job = await farm.submit('bench', [noopStep('work', units)]);
    await farm.untilSucceeded(job.id);
    return (units / (performance.now() - startMs)) * 1000;
  } finally {
    await farm.close();
  }
}

/** Units a second, from the submit to the last accepted result as a client sees it. */
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { BenchFarm, commandStep, noopStep, type BenchOptions } from './bench-farm.ts';
import { atLeast, plain, type Figure } from './figure.ts';

const AGENTS = ['left', 'right'];
const SLOTS_PER_AGENT = 2;
const REACH_PER_S = 3_000;

export async function measureDispatch(options: BenchOptions, units: number): Promise<Figure[]> {
  const flags = ['--max-units', String(SLOTS_PER_AGENT)];
  const slots = await dispatchRate(options, noopStep, units, flags);
  // As many at once as an agent takes: what batches can do.
  const wide = await dispatchRate(options, noopStep, units, []);
  // The least that a unit with a process of its own costs.
  const processes = await dispatchRate(options, trueStep, Math.ceil(units / 20), flags);
  return [
    atLeast('dispatch.units_per_s', slots, '1/s', REACH_PER_S),
    plain('dispatch.wide.units_per_s', wide, '1/s'),
    plain('dispatch.processes.units_per_s', processes, '1/s'),
  ];
}

async function dispatchRate(
  options: BenchOptions,
  stepOf: (units: number) => Step,
  units: number,
  flags: readonly string[],
): Promise<number> {
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents(AGENTS, flags);
    // The first units of a process compile its code: they are not counted.
    const warm = await farm.submit('warm', [stepOf(Math.ceil(units / 10))]);
    await farm.untilSucceeded(warm.id);
    const startMs = performance.now();
    const job = await farm.submit('bench', [stepOf(units)]);
    await farm.untilSucceeded(job.id);
    return (units / (performance.now() - startMs)) * 1000;
  } finally {
    await farm.close();
  }
}

const trueStep = (units: number): Step => commandStep(['true'], units);

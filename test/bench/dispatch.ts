/**
 * Units a second, from the submit to the last accepted result as a client sees it: 2 agent processes
 * with 4 slots in all, on a farm that has been at work before. A job that is over within a second is
 * measured several times: the median counts.
 */
import type { Step } from '../../proto/gen/furrow/v1/step.ts';
import { BenchFarm, commandStep, noopStep, type BenchOptions } from './bench-farm.ts';
import { atLeast, percentile, plain, type Figure } from './figure.ts';

const AGENTS = ['left', 'right'];
const FOUR_SLOTS = ['--max-units', '2'];
/** An agent holds what it runs and nothing more: 4 units are in flight. */
const NO_PREFILL = { FURROW_AGENT_MAX_WAITING: '0' };
/** The first units of a process compile its code: they are not counted. */
const WARM_UP_S = 4;
const WARM_UP_UNITS = 2_000;
const SHORT_S = 1;
const SHORT_ROUNDS = 5;
const REACH_PER_S = 3_000;
const REACH_PREFILLED_PER_S = 40_000;

/** `few` and `many` are numbers of units. */
export async function measureDispatch(
  options: BenchOptions,
  few: number,
  many: number,
): Promise<Figure[]> {
  const bare = { options, flags: FOUR_SLOTS, environment: NO_PREFILL };
  const prefilled = { options, flags: FOUR_SLOTS, environment: {} };
  const wide = { options, flags: [], environment: NO_PREFILL };
  const [fewBare = 0, manyBare = 0] = await dispatchRates(bare, noopStep, [few, many]);
  const [fewPrefilled = 0, manyPrefilled = 0] = await dispatchRates(prefilled, noopStep, [
    few,
    many,
  ]);
  // As many at once as an agent takes: what batches can do.
  const [wideRate = 0] = await dispatchRates(wide, noopStep, [few]);
  // The least that a unit with a process of its own costs.
  const [processes = 0] = await dispatchRates(prefilled, trueStep, [Math.ceil(few / 20)]);
  return [
    atLeast('dispatch.units_per_s', fewBare, '1/s', REACH_PER_S),
    atLeast('dispatch.100k.units_per_s', manyBare, '1/s', REACH_PER_S),
    atLeast('dispatch.prefill.units_per_s', fewPrefilled, '1/s', REACH_PREFILLED_PER_S),
    atLeast('dispatch.prefill.100k.units_per_s', manyPrefilled, '1/s', REACH_PREFILLED_PER_S),
    plain('dispatch.wide.units_per_s', wideRate, '1/s'),
    plain('dispatch.processes.units_per_s', processes, '1/s'),
  ];
}

interface Setting {
  readonly options: BenchOptions;
  /** The agents'. */
  readonly flags: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** Units a second for jobs of these sizes, one after another on one farm. */
async function dispatchRates(
  { options, flags, environment }: Setting,
  stepOf: (units: number) => Step,
  sizes: readonly number[],
): Promise<number[]> {
  const farm = await BenchFarm.start(options);
  try {
    await farm.addAgents(AGENTS, flags, environment);
    const secondsFor = async (name: string, units: number): Promise<number> => {
      const startMs = performance.now();
      const job = await farm.submit(name, [stepOf(units)]);
      await farm.untilSucceeded(job.id);
      return (performance.now() - startMs) / 1000;
    };
    const warmUnits = Math.min(WARM_UP_UNITS, ...sizes);
    for (let round = 0, spentS = 0; spentS < WARM_UP_S; round += 1) {
      spentS += await secondsFor(`warm-${round}`, warmUnits);
    }
    const rates: number[] = [];
    for (const units of sizes) {
      const tookS = [await secondsFor(`${units}-0`, units)];
      const rounds = (tookS[0] ?? 0) < SHORT_S ? SHORT_ROUNDS : 1;
      for (let round = 1; round < rounds; round += 1) {
        tookS.push(await secondsFor(`${units}-${round}`, units));
      }
      rates.push(units / percentile(tookS, 0.5));
    }
    return rates;
  } finally {
    await farm.close();
  }
}

const trueStep = (units: number): Step => commandStep(['true'], units);

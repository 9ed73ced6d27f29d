/**
 * How well a mixed afternoon's work is packed onto a studio's boxes, in simulated time: by the domain's own
 * placement, by one that takes the first box that fits, and by slots.
 */
import { atMost, type Figure, plain } from './figure.ts';
import { FirstFitFarm, OurFarm, SlotFarm } from './packing/farms.ts';
import { type Outcome, type Policy, World } from './packing/world.ts';
import { workload } from './packing/workload.ts';

const SEEDS = [1, 2];
const HOUR_MS = 3_600_000;

const FARMS: readonly (readonly [name: string, make: () => Policy])[] = [
  ['ours', () => new OurFarm()],
  ['first_fit', () => new FirstFitFarm()],
  ['slots', () => new SlotFarm()],
];

export async function measurePacking(): Promise<Figure[]> {
  const means = new Map(FARMS.map(([name, make]) => [name, meanOf(make)]));
  const ours = means.get('ours');
  const others = [means.get('first_fit'), means.get('slots')];
  if (ours === undefined) throw new Error('there is no farm of ours');
  const best = (of: (outcome: Outcome) => number): number =>
    Math.min(...others.flatMap((outcome) => (outcome === undefined ? [] : [of(outcome)])));
  return [
    atMost('packing.ours.makespan', hours(ours), 'h', best((of) => of.makespanMs) / HOUR_MS),
    atMost(
      'packing.ours.ooms',
      ours.ooms,
      '',
      best((of) => of.ooms),
    ),
    atMost('packing.ours.gpu_idle', ours.gpuIdle * 100, '%', best((of) => of.gpuIdle) * 100),
    ...FARMS.flatMap(([name]) => {
      const outcome = means.get(name);
      return outcome === undefined ? [] : figuresOf(name, outcome);
    }),
  ];
}

function figuresOf(name: string, outcome: Outcome): Figure[] {
  const figures: Figure[] = [
    plain(`packing.${name}.job_mean`, outcome.jobMeanMs / 60_000, 'min'),
    plain(`packing.${name}.core_idle`, outcome.coreIdle * 100, '%'),
    plain(`packing.${name}.failed`, outcome.failed, ''),
  ];
  if (name === 'ours') return figures;
  return [
    plain(`packing.${name}.makespan`, hours(outcome), 'h'),
    plain(`packing.${name}.ooms`, outcome.ooms, ''),
    plain(`packing.${name}.gpu_idle`, outcome.gpuIdle * 100, '%'),
    ...figures,
  ];
}

const hours = ({ makespanMs }: Outcome): number => makespanMs / HOUR_MS;

function meanOf(make: () => Policy): Outcome {
  const outcomes = SEEDS.map((seed) => new World(make()).run(workload(seed)));
  const mean = (of: (outcome: Outcome) => number): number =>
    outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length;
  return {
    makespanMs: mean((of) => of.makespanMs),
    ooms: mean((of) => of.ooms),
    failed: mean((of) => of.failed),
    gpuIdle: mean((of) => of.gpuIdle),
    coreIdle: mean((of) => of.coreIdle),
    jobMeanMs: mean((of) => of.jobMeanMs),
  };
}

/**
 * A simulated year of two hundred machines that sleep, are played on, crash and fill their disks: what its
 * jobs met, how long units waited, and whether every promise was kept. One that was not is an error.
 */
import { simulateYear, type YearOptions, type YearReport } from '../sim/year/simulated-year.ts';
import { atMost, type Figure, percentile, plain } from './figure.ts';

const REACH_WALL_S = 60;
const MINUTE_MS = 60_000;
const ENDS = [
  'cancelled',
  'lost',
  'evicted',
  'out-of-memory',
  'out-of-vram',
  'infrastructure',
  'bad-output',
  'failed',
  'stalled',
  'expired',
  'refused',
];
const EVENTS = [
  'sleep',
  'game',
  'kernelCrash',
  'driverLoss',
  'fullDisk',
  'coordinator killed',
  'nats away',
];

export async function measureYear(options: YearOptions): Promise<Figure[]> {
  const startMs = performance.now();
  const report = await simulateYear(options);
  const wallS = (performance.now() - startMs) / 1000;
  complain(report, options);
  const { counts, events, ends } = report;
  return [
    plain('year.days', options.days, 'd'),
    ...EVENTS.map((name) => plain(`year.${named(name)}`, events.get(name) ?? 0, '')),
    plain('year.jobs', counts.jobs, ''),
    plain('year.jobs_failed', counts.failedJobs, ''),
    plain('year.units', counts.units, ''),
    plain('year.attempts', counts.attempts, ''),
    ...ENDS.map((kind) => plain(`year.ends.${named(kind)}`, ends.get(kind) ?? 0, '')),
    plain('year.poison_ended', counts.poisoned, ''),
    plain('year.short_of_memory', counts.starvedOfMemory, ''),
    atMost('year.given_up_innocent', counts.innocent, '', 0),
    atMost('year.broken_promises', report.complaints.length, '', 0),
    atMost('year.slowest_job_of_bound', report.worstShare, '', 1),
    plain('year.gpu_idle_while_wanted', report.gpuIdleShare * 100, '%'),
    ...waits(report),
    atMost('year.wall', wallS, 's', REACH_WALL_S),
    plain('year.days_per_s', options.days / wallS, 'd/s'),
  ];
}

function complain({ complaints }: YearReport, { seed, days, boxes }: YearOptions): void {
  if (complaints.length === 0) return;
  for (const complaint of complaints) console.error(`BROKEN ${complaint}`);
  const flags = `--seed ${seed} --days ${days} --boxes ${boxes}`;
  console.error(`again: npm run bench -- --only year ${flags}`);
  process.exitCode = 1;
}

function waits({ waitsMs }: YearReport): Figure[] {
  return [...waitsMs]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([kind, waited]) => {
      const mean = waited.reduce((sum, ms) => sum + ms, 0) / waited.length;
      return [
        plain(`year.wait.${named(kind)}.mean`, mean / MINUTE_MS, 'min'),
        plain(`year.wait.${named(kind)}.p99`, percentile(waited, 0.99) / MINUTE_MS, 'min'),
      ];
    });
}

function named(words: string): string {
  return words
    .replaceAll(/[- ]/g, '_')
    .replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * `npm run sim -- --seed N --steps M --time 60s`: runs seeds, from N on or fresh ones, until the time is
 * over or one breaks a promise. A seed and a number of steps replay exactly. `--agents K` and
 * `--coordinators K` set how many there are, `--print` shows every event. `--bugs` shows that it bites: it
 * hunts the planted bugs, and prints which seed finds each.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { simulate, type SimulationReport } from './simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    steps: { type: 'string', default: '20000' },
    time: { type: 'string' },
    agents: { type: 'string' },
    coordinators: { type: 'string' },
    bugs: { type: 'boolean', default: false },
    print: { type: 'boolean', default: false },
  },
});

const steps = wholeNumber('steps', values.steps);
const size = {
  ...(values.agents !== undefined && { agents: wholeNumber('agents', values.agents) }),
  ...(values.coordinators !== undefined && {
    coordinators: wholeNumber('coordinators', values.coordinators),
  }),
};
const limitMs = values.time === undefined ? undefined : durationMs(values.time);
const isOne = values.seed !== undefined && limitMs === undefined;
const first = values.seed === undefined ? freshSeed() : wholeNumber('seed', values.seed);
process.exitCode = values.bugs ? huntBugs() : await runSeeds(isOne ? 0 : (limitMs ?? 60_000));

/** The patches take the place of modules, which only the test runner can do. */
function huntBugs(): number {
  const kinds = ['lease', 'copy', 'clock', 'journal'];
  const files = kinds.map((kind) => `test/sim/planted-${kind}-bugs.test.ts`);
  const run = spawnSync('npx', ['vitest', 'run', '--reporter=dot', ...files], { stdio: 'inherit' });
  return run.status ?? 1;
}

async function runSeeds(forMs: number): Promise<number> {
  const startMs = performance.now();
  const totals = {
    seeds: 0,
    steps: 0,
    simulatedMs: 0,
    fromSnapshot: 0,
    blobsDeleted: 0,
    clocksSet: 0,
  };
  const faults = new Map<string, number>();
  const ends = new Map<string, number>();
  const copies = new Map<string, number>();
  for (let seed = first; seed === first || performance.now() - startMs < forMs; seed += 1) {
    const report = await simulate({ seed, steps, print: values.print, ...size });
    totals.seeds += 1;
    totals.steps += report.steps;
    totals.simulatedMs += report.simulatedMs;
    totals.fromSnapshot += report.startsFromSnapshot;
    totals.blobsDeleted += report.blobsDeleted;
    totals.clocksSet += report.clocksSet;
    add(faults, report.faults);
    add(ends, report.ends);
    add(copies, copiesOf(report));
    if (isOne || report.violation !== undefined) printSeed(report);
    if (report.violation !== undefined) return 1;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const { seeds } = totals;
  console.log(
    `${seeds} seeds from ${first}, ${totals.steps} steps, ${Math.round(totals.steps / seconds)} steps/s, ${Math.round(totals.simulatedMs / 60_000)} simulated minutes`,
  );
  console.log(`faults: ${listed(faults)}`);
  const { fromSnapshot, blobsDeleted, clocksSet } = totals;
  console.log(
    `${fromSnapshot} starts from a snapshot, ${blobsDeleted} blobs deleted, ${clocksSet} clocks set`,
  );
  console.log(`second copies: ${listed(copies)}`);
  console.log(`attempts that ended without a result: ${listed(ends)}`);
  return 0;
}

function printSeed(report: SimulationReport): void {
  const { seed, violation, digest } = report;
  console.log(`seed ${seed}: ${report.steps} steps, event log ${digest.slice(0, 16)}`);
  console.log(`  faults: ${listed(report.faults)}`);
  console.log(`  facts: ${listed(report.facts)}`);
  console.log(`  second copies: ${listed(copiesOf(report))}`);
  console.log(`  messages: ${listed(new Map(Object.entries(report.messages)))}`);
  if (violation === undefined) return;
  console.log(`  BROKEN ${violation.message}`);
  const farm = Object.entries(size).map(([name, count]) => ` --${name} ${count}`);
  console.log(`  again: npm run sim -- --seed ${seed} --steps ${steps}${farm.join('')}`);
}

function copiesOf({ copies }: SimulationReport): ReadonlyMap<string, number> {
  const { granted, won, beaten, lone } = copies;
  return new Map([
    ['granted', granted],
    ['won', won],
    ['beaten', beaten],
    ['one of two ended', lone],
  ]);
}

function add(to: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) to.set(name, (to.get(name) ?? 0) + count);
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
}

/** From the clock: printed, so that it can be given back. */
function freshSeed(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new Error(`--${name} ${text} is not a whole number`);
}

function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m)$/.exec(text);
  if (match === null) throw new Error(`--time ${text}: write it as 500ms, 60s or 5m`);
  return Number(match[1]) * { ms: 1, s: 1_000, m: 60_000 }[match[2] as 'ms' | 's' | 'm'];
}

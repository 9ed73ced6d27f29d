/**
 * `npm run bench -- [--only NAME] [--json]`: measures a farm of real processes that fsync before they
 * acknowledge, and prints each figure beside what was to be reached. `--dist DIR` measures another
 * build, `--profile DIR` leaves CPU profiles of the processes there.
 */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchOptions } from './bench-farm.ts';
import { measureBlobs } from './blobs.ts';
import { measureDispatch } from './dispatch.ts';
import { tableOf, type Figure } from './figure.ts';
import { measureLatency } from './latency.ts';
import { measureMachine } from './machine.ts';
import { measureMemory } from './memory.ts';
import { measureRecovery } from './recovery.ts';
import { measureRestart } from './restart.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    /** No-op units of `dispatch`. */
    units: { type: 'string', default: '10000' },
    /** One-unit jobs of `latency`. */
    submits: { type: 'string', default: '500' },
    /** Jobs of 100 units that `restart` must know again. */
    jobs: { type: 'string', default: '10000' },
    /** Size of the blob of `blobs`. */
    mebibytes: { type: 'string', default: '256' },
    dist: { type: 'string', default: 'dist' },
    profile: { type: 'string' },
  },
});

const options: BenchOptions = {
  packageRoot: process.cwd(),
  dist: resolve(values.dist),
  profileFolder: values.profile === undefined ? undefined : resolve(values.profile),
};
const units = wholeNumber('units', values.units);
const submits = wholeNumber('submits', values.submits);
const jobs = wholeNumber('jobs', values.jobs);
const mebibytes = wholeNumber('mebibytes', values.mebibytes);

const PARTS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  dispatch: () => measureDispatch(options, units),
  latency: () => measureLatency(options, submits),
  restart: () => measureRestart(options, jobs),
  memory: measureMemory,
  blobs: () => measureBlobs(options, mebibytes),
  recovery: () => measureRecovery(options),
};

if (options.profileFolder !== undefined) mkdirSync(options.profileFolder, { recursive: true });
await run(values.only === undefined ? Object.keys(PARTS) : [values.only]);

async function run(names: readonly string[]): Promise<void> {
  const machine = measureMachine(tmpdir());
  const figures: Figure[] = [];
  for (const name of names) {
    const measure = PARTS[name];
    if (measure === undefined) {
      throw new Error(`--only ${name}: choose one of ${Object.keys(PARTS).join(', ')}`);
    }
    if (!values.json) process.stderr.write(`measuring ${name} …\n`);
    figures.push(...(await measure()));
  }
  if (values.json) {
    console.log(JSON.stringify({ machine, figures }));
    return;
  }
  const { cores, model, node, load, fdatasyncPerS } = machine;
  console.log(
    `${cores} cores (${model}), load ${load}, ${fdatasyncPerS} fdatasync/s, node ${node}`,
  );
  console.log(tableOf(figures));
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`--${name} ${text} is not a whole number`);
}

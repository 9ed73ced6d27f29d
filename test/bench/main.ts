/**
 * `npm run bench -- [--only NAME] [--json]`: measures a farm of real processes that fsync before they
 * acknowledge, and prints each figure beside what was to be reached. `--dist DIR` measures another
 * build, `--profile DIR` leaves CPU profiles of the processes there.
 */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { measureAgents } from './agents.ts';
import type { BenchOptions } from './bench-farm.ts';
import { measureBlobs } from './blobs.ts';
import { measureDispatch } from './dispatch.ts';
import { tableOf, type Figure } from './figure.ts';
import { measureFilm } from './film.ts';
import { measureInfer } from './infer.ts';
import { measureLatency } from './latency.ts';
import { measureMachine } from './machine.ts';
import { measureMemory } from './memory.ts';
import { endAll } from './open-ends.ts';
import { measurePacking } from './packing.ts';
import { measurePlacement } from './placement.ts';
import { measureRecovery } from './recovery.ts';
import { measureRestart } from './restart.ts';
import { measureUpscale } from './upscale.ts';
import { measureYear } from './year.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    /** No-op units of `dispatch`, and of its 100k figures. */
    units: { type: 'string', default: '10000' },
    'many-units': { type: 'string', default: '100000' },
    /** One-unit jobs of `latency`. */
    submits: { type: 'string', default: '1000' },
    /** Jobs of 100 units that `restart` must know again. */
    jobs: { type: 'string', default: '10000' },
    /** Size of the blob of `blobs`. */
    mebibytes: { type: 'string', default: '256' },
    /** Simulated agents of `agents`. */
    agents: { type: 'string', default: '2000,10000' },
    /** Length of the clip of `film`, and how often it is encoded each way. */
    'film-seconds': { type: 'string', default: '20' },
    'film-rounds': { type: 'string', default: '1' },
    /** Frames of `upscale`, and how often; the first time is cold. */
    'upscale-frames': { type: 'string', default: '16' },
    'upscale-rounds': { type: 'string', default: '3' },
    /** Pictures that `infer` looks at, and tiny ones that it queues. */
    pictures: { type: 'string', default: '1000' },
    tiny: { type: 'string', default: '10000' },
    /** Days and machines of `year`, and the seed that it is drawn from. */
    days: { type: 'string', default: '365' },
    boxes: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
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
const manyUnits = wholeNumber('many-units', values['many-units']);
const submits = wholeNumber('submits', values.submits);
const jobs = wholeNumber('jobs', values.jobs);
const mebibytes = wholeNumber('mebibytes', values.mebibytes);
const agents = values.agents.split(',').map((count) => wholeNumber('agents', count));
const filmSeconds = wholeNumber('film-seconds', values['film-seconds']);
const filmRounds = wholeNumber('film-rounds', values['film-rounds']);
const upscaleFrames = wholeNumber('upscale-frames', values['upscale-frames']);
const upscaleRounds = wholeNumber('upscale-rounds', values['upscale-rounds']);
const pictures = wholeNumber('pictures', values.pictures);
const tiny = wholeNumber('tiny', values.tiny);
const year = {
  seed: wholeNumber('seed', values.seed),
  days: wholeNumber('days', values.days),
  boxes: wholeNumber('boxes', values.boxes),
};

const PARTS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  dispatch: () => measureDispatch(options, units, manyUnits),
  latency: () => measureLatency(options, submits),
  restart: () => measureRestart(options, jobs),
  memory: measureMemory,
  blobs: () => measureBlobs(options, mebibytes),
  agents: () => measureAgents(options, agents),
  film: () => measureFilm(options, filmSeconds, filmRounds),
  upscale: () => measureUpscale(options, upscaleFrames, upscaleRounds),
  infer: () => measureInfer(options, pictures, tiny),
  recovery: () => measureRecovery(options),
  placement: measurePlacement,
  year: () => measureYear(year),
  packing: measurePacking,
};

if (options.profileFolder !== undefined) mkdirSync(options.profileFolder, { recursive: true });
let wasInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupted);
try {
  await run(values.only === undefined ? Object.keys(PARTS) : [values.only]);
} finally {
  await endAll();
}

/** Ends what was started; asked twice, at once. */
function interrupted(signal: NodeJS.Signals): void {
  const exitCode = signal === 'SIGINT' ? 130 : 143;
  if (wasInterrupted) process.exit(exitCode);
  wasInterrupted = true;
  void endAll().finally(() => process.exit(exitCode));
}

async function run(names: readonly string[]): Promise<void> {
  const machine = measureMachine(tmpdir());
  const figures: Figure[] = [];
  for (const name of names) {
    const measure = PARTS[name];
    if (measure === undefined) {
      throw new Error(`--only ${name}: choose one of ${Object.keys(PARTS).join(', ')}`);
    }
    if (!values.json) process.stderr.write(`measuring ${name} …\n`);
    try {
      figures.push(...(await measure()));
    } catch (error) {
      // What it waited for was ended under it.
      if (!wasInterrupted) throw error;
      return;
    }
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

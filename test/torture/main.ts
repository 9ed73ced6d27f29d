/**
 * `npm run torture -- --time 600s --seed N`: kills, stops and cuts off the parts of a real farm while
 * clients load it, then judges what came of it. `--nats single` has one private nats-server, one
 * coordinator and its own disk; `--nats cluster` three servers, a standby and a bucket.
 * `--nats-server 2.10` is the oldest version that we support, `--keep` leaves a good run's folder too,
 * `--package DIR` tortures another built checkout.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findNatsServer } from '../../cli/up/nats-binary.ts';
import { reportOf } from './report.ts';
import { saveEvidence, torture, type Verdict } from './torture.ts';

const { values } = parseArgs({
  options: {
    time: { type: 'string', default: '60s' },
    seed: { type: 'string' },
    nats: { type: 'string', default: 'cluster' },
    'nats-server': { type: 'string', default: 'newest' },
    agents: { type: 'string', default: '3' },
    clients: { type: 'string', default: '3' },
    settle: { type: 'string', default: '120s' },
    package: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});

// From .furrow-tools/torture/test/torture, where the compiler puts it.
const ownRoot = join(import.meta.dirname, '..', '..', '..', '..');
const packageRoot = values.package === undefined ? ownRoot : resolve(values.package);
const isCluster = values.nats === 'cluster';
if (!isCluster && values.nats !== 'single') throw new Error('--nats is single or cluster');
const seed = values.seed === undefined ? Math.floor(Date.now() / 1000) : wholeNumber(values.seed);
const wanted = values['nats-server'];
if (wanted !== 'newest' && wanted !== '2.10') throw new Error('--nats-server is newest or 2.10');
const oldest = join(ownRoot, '.furrow-tools', 'nats-2.10', 'nats-server');
const environment = wanted === 'newest' ? process.env : { FURROW_NATS_SERVER: oldest };
const { path: natsServer, version } = await findNatsServer(ownRoot, environment);
const root = mkdtempSync(join(tmpdir(), 'furrow-torture-'));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

console.log(`seed ${seed}, ${values.time}, ${values.nats}, nats-server ${version}, in ${root}`);
const verdict = await run().catch((error: unknown) => {
  console.log(`logs are in ${root}`);
  throw error;
});
for (const line of reportOf(verdict)) console.log(line);
const isGood = verdict.broken.length === 0;
if (!isGood || values.keep) {
  saveEvidence(root, verdict);
  console.log(`logs, journal and evidence are in ${root}`);
} else rmSync(root, { recursive: true, force: true, maxRetries: 3 });
if (!isGood) {
  const flags = ['--time', values.time, '--nats', values.nats, '--nats-server', wanted];
  if (values.package !== undefined) flags.push('--package', packageRoot);
  console.log(`the same faults again: npm run torture -- ${flags.join(' ')} --seed ${seed}`);
}
process.exit(isGood ? 0 : 1);

function run(): Promise<Verdict> {
  return torture({
    root,
    packageRoot,
    natsServer,
    natsNodes: isCluster ? 3 : 1,
    coordinators: isCluster ? 2 : 1,
    agents: wholeNumber(values.agents),
    clients: wholeNumber(values.clients),
    clientProgram: join(import.meta.dirname, 'client.js'),
    seed,
    timeMs: durationMs(values.time),
    settleMs: durationMs(values.settle),
    tell: (line) => console.log(line),
  });
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new Error(`${text} is not a whole number above zero`);
}

function durationMs(text: string): number {
  const match = /^(\d+)(s|m)$/.exec(text);
  if (match === null) throw new Error(`${text} is no duration: write it as 60s or 10m`);
  return Number(match[1]) * (match[2] === 's' ? 1_000 : 60_000);
}

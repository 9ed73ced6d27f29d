/** Gathers the evidence when all is over: files that clients, agents and units wrote, and the public API. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FarmClient } from '../../cli/client.ts';
import { JobState, UnitState, type Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { frameNumbers } from '../support/clips.ts';
import { processesUnder } from '../support/processes.ts';
import type {
  ClientNote,
  CoordinatorStarts,
  FilmFetched,
  JobAtEnd,
  LedgerLine,
  OutputFetched,
  StepAtEnd,
  VerdictSeen,
} from './evidence.ts';
import { MARK, type Stage, TOKEN } from './stage.ts';
import { expectedOutput } from './workload.ts';

const run = promisify(execFile);
const PAGE = 5_000;
const FETCHES_AT_ONCE = 8;

export function readNotes(paths: readonly string[]): readonly ClientNote[] {
  return paths.flatMap((path) => linesOf(path).map((line) => JSON.parse(line) as ClientNote));
}

/** Lines that were cut short by a kill are left out. */
export function readLedger(path: string): readonly LedgerLine[] {
  return linesOf(path).flatMap((line) => {
    const match = /^(begin|end) (\d+)[.,](\d{6}) (j\d+)-([\w-]+)-(\d+)-(\d+)-(\d+\.\d+)$/.exec(
      line,
    );
    if (match === null) return [];
    const [, what, seconds, micros, job, step, unit, attempt, token = ''] = match;
    return [
      {
        what: what as 'begin' | 'end',
        unitId: `${job}/${step}/${unit}`,
        attempt: Number(attempt),
        token,
        atMs: Number(seconds) * 1000 + Number(micros) / 1000,
      },
    ];
  });
}

export function readStarts(stage: Stage): CoordinatorStarts {
  const lines = stage.coordinators.flatMap(({ logPath }) => linesOf(logPath));
  const starts = lines
    .filter((line) => line.includes('"journal read"'))
    .map((line) => JSON.parse(line) as { snapshot: number });
  const fromSnapshot = starts.filter(({ snapshot }) => snapshot > 0).length;
  return {
    fromSnapshot,
    fromBeginning: starts.length - fromSnapshot,
    cutOff: lines.filter((line) => line.includes('"the journal was cut above')).length,
  };
}

/** From the agents' own logs. */
export function readVerdicts(stage: Stage): readonly VerdictSeen[] {
  return stage.agents.flatMap(({ name, logPath }) =>
    linesOf(logPath).flatMap((line) => {
      if (!line.includes('"results answered"')) return [];
      const record = JSON.parse(line) as { accepted: string[]; stale: string[] };
      const seen = (verdict: VerdictSeen['verdict']) => (token: string) => ({
        agent: name,
        token,
        verdict,
      });
      return [...record.accepted.map(seen('accepted')), ...record.stale.map(seen('stale'))];
    }),
  );
}

/** Undefined for a job that the farm does not know. */
export async function jobAtEnd(client: FarmClient, jobId: string): Promise<JobAtEnd | undefined> {
  const job = await getJob(client, jobId);
  if (job === undefined) return undefined;
  const units = new Map<string, string[]>(job.steps.map(({ name }) => [name, []]));
  for (let pageToken = ''; ;) {
    const request = { jobId, step: '', states: [], pageSize: PAGE, pageToken };
    const page = await client.call(client.jobs.listUnits.bind(client.jobs), request);
    for (const { step, index, state } of page.units) {
      units.get(step)?.push(`${index}:${shortName(UnitState[state], 'UNIT_STATE_')}`);
    }
    if (page.nextPageToken === '') break;
    pageToken = page.nextPageToken;
  }
  const steps = job.steps.map(({ name, total, accepted }): StepAtEnd => ({
    name,
    total,
    accepted,
    units: units.get(name) ?? [],
  }));
  const { clientId, reason } = job;
  return { jobId, clientId, state: stateOf(job), reason, steps };
}

/** Kept outputs of the jobs, films aside. */
export async function fetchOutputs(
  client: FarmClient,
  jobIds: readonly string[],
  plans: ReadonlyMap<string, Extract<ClientNote, { note: 'asks' }>['plan']>,
): Promise<readonly OutputFetched[]> {
  const blobUrl = await blobUrlOf(client);
  const wanted: (() => Promise<OutputFetched>)[] = [];
  for (const jobId of jobIds) {
    const job = await getJob(client, jobId);
    const plan = plans.get(job?.clientId ?? '');
    if (job === undefined || plan === undefined || stateOf(job) !== 'succeeded') continue;
    if (plan.kind !== 'kept' && plan.kind !== 'fan-out') continue;
    for (const { name, sha256 } of job.outputs) {
      const expected = expectedOutput(job.clientId, plan, name);
      wanted.push(async () => {
        const bytes = await fetchBlob(blobUrl, sha256);
        const found = bytes && createHash('sha256').update(bytes).digest('hex');
        return { jobId, name, sha256: found, expected };
      });
    }
  }
  const fetched: OutputFetched[] = [];
  for (let at = 0; at < wanted.length; at += FETCHES_AT_ONCE) {
    const batch = wanted.slice(at, at + FETCHES_AT_ONCE);
    fetched.push(...(await Promise.all(batch.map((fetch) => fetch()))));
  }
  return fetched;
}

/** `sources`: paths by name. */
export async function fetchFilms(
  client: FarmClient,
  films: ReadonlyMap<string, string>,
  sources: ReadonlyMap<string, string>,
  folder: string,
): Promise<readonly FilmFetched[]> {
  const blobUrl = await blobUrlOf(client);
  const framesOf = new Map<string, number>();
  const fetched: FilmFetched[] = [];
  for (const [jobId, source] of films) {
    const job = await getJob(client, jobId);
    const film = job?.outputs.find(({ name }) => name.startsWith('film.'));
    const bytes = film && (await fetchBlob(blobUrl, film.sha256));
    const sourcePath = sources.get(source);
    if (bytes === undefined || sourcePath === undefined) continue;
    const path = join(folder, `${jobId}-film.mp4`);
    writeFileSync(path, bytes);
    const sourceFrames = framesOf.get(source) ?? (await countFrames(sourcePath));
    framesOf.set(source, sourceFrames);
    const frames = await countFrames(path);
    const shown = await frameNumbers(path);
    const inOrder = shown.length === frames && shown.every((number, index) => number === index);
    fetched.push({ jobId, source, sourceFrames, frames, inOrder });
  }
  return fetched;
}

/** What agents still hold or run, one line each. */
export async function agentLeftovers(client: FarmClient, stage: Stage): Promise<readonly string[]> {
  const lines: string[] = [];
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  for (const { name, leases, bookedCpuMillis, bookedRamBytes } of agents) {
    if (leases === 0 && bookedCpuMillis === 0 && bookedRamBytes === 0) continue;
    lines.push(`${name} has ${leases} leases and ${bookedCpuMillis} thousandths of a core booked`);
  }
  for (const { name, pid } of stage.agents) {
    const state = join(stage.options.root, 'home', name, 'agents', name, 'farms');
    for (const farm of listOf(state)) {
      for (const attempt of listOf(join(state, farm, 'attempts'))) {
        lines.push(`${name} has files of the attempt ${attempt}`);
      }
    }
    for (const { command } of pid === undefined ? [] : processesUnder(pid)) {
      lines.push(`${name} runs ${command}`);
    }
  }
  return lines;
}

/**
 * Units' processes, whosever children they are now: their folders tell. None is left once agents say
 * so: what an agent's earlier run left behind was ended by the next.
 */
export function unitProcesses(root: string): readonly string[] {
  return processesThat((pid) => readlinkSync(`/proc/${pid}/cwd`).startsWith(`${root}/`));
}

/** All processes of this run. */
export function strays(root: string, mark: string): readonly string[] {
  const marked = processesThat((pid) =>
    readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK}=${mark}`),
  );
  return [...marked, ...unitProcesses(root)];
}

function processesThat(belong: (pid: string) => boolean): readonly string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      if (!belong(pid)) continue;
      const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
      // Whoever has ended and was not yet waited for has none.
      if (command !== '') found.push(`process ${pid}: ${command.trim()}`);
    } catch {
      // It ended, or is another user's.
    }
  }
  return found;
}

async function getJob(client: FarmClient, jobId: string): Promise<Job | undefined> {
  const request = client.call(client.jobs.getJob.bind(client.jobs), { jobId });
  return (await request.catch(() => undefined))?.job;
}

function stateOf(job: Job): string {
  return shortName(JobState[job.state], 'JOB_STATE_');
}

function shortName(name: string | undefined, prefix: string): string {
  return (name ?? 'unknown').replace(prefix, '').toLowerCase();
}

async function blobUrlOf(client: FarmClient): Promise<string> {
  return (await client.call(client.farm.getStatus.bind(client.farm), {})).blobUrl;
}

async function fetchBlob(blobUrl: string, sha256: string): Promise<Buffer | undefined> {
  const headers = { authorization: `Bearer ${TOKEN}` };
  const answer = await fetch(`${blobUrl}/blobs/${sha256}`, { headers }).catch(() => undefined);
  if (answer === undefined || !answer.ok) return undefined;
  return Buffer.from(await answer.arrayBuffer());
}

async function countFrames(path: string): Promise<number> {
  const argv = ['-v', 'error', '-count_frames', '-select_streams', 'v:0'];
  argv.push('-show_entries', 'stream=nb_read_frames', '-of', 'csv=p=0', path);
  const { stdout } = await run('ffprobe', argv);
  return Number(stdout.trim().split(/[,\n]/)[0]);
}

function linesOf(path: string): readonly string[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

function listOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/**
 * One run: a farm is set up, clients load it, faults torture it for a while; then everything heals, has
 * to come to its end within a bound, and is judged.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { FarmClient } from '../../cli/client.ts';
import { PLAINTEXT } from '../../kit/trust.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { Prng } from '../sim/prng.ts';
import { Clips } from '../support/clips.ts';
import type { ClientSettings } from './client.ts';
import {
  agentLeftovers,
  fetchFilms,
  fetchOutputs,
  jobAtEnd,
  readLedger,
  readNotes,
  readStarts,
  readVerdicts,
  strays,
  unitProcesses,
} from './collect.ts';
import type { Evidence, JobAtEnd } from './evidence.ts';
import { Faults } from './faults.ts';
import { judge } from './judge.ts';
import { Party } from './party.ts';
import { environmentOf, Stage, type StageOptions, TOKEN } from './stage.ts';
import { Witness } from './witness.ts';

export interface TortureOptions extends Omit<StageOptions, 'mark'> {
  readonly seed: number;
  readonly timeMs: number;
  /** After the last fault everything must have ended within so long. */
  readonly settleMs: number;
  readonly clients: number;
  /** The compiled client. */
  readonly clientProgram: string;
  readonly tell: (line: string) => void;
}

export interface Verdict {
  readonly evidence: Evidence;
  readonly broken: readonly string[];
  /** From the last fault to the last job's end and all agents at rest. */
  readonly settledMs: number;
  readonly deposed: number;
}

const READY_MS = 120_000;
const BASELINE_MS = 30_000;
const POLL_MS = 250;
const LEADER_POLL_MS = 500;
const STATUS_DEADLINE_MS = 1_000;
/** Exit codes with which a coordinator may end by itself: unreachable, deposed. */
const ORDERLY_ENDS: ReadonlySet<number | null> = new Set([3, 7]);

export async function torture(options: TortureOptions): Promise<Verdict> {
  const mark = `${process.pid}-${options.seed}`;
  const stage = await Stage.set({ ...options, mark });
  const clips = await Clips.open();
  const endAll = (): void => {
    for (const { pid } of stage.parties) if (pid !== undefined) process.kill(pid, 'SIGKILL');
  };
  process.on('exit', endAll);
  try {
    return await new Torture(options, stage, clips, mark).run();
  } finally {
    await stage.close();
    await clips.close();
    process.off('exit', endAll);
  }
}

class Torture {
  readonly #options: TortureOptions;
  readonly #stage: Stage;
  readonly #clips: Clips;
  readonly #mark: string;
  readonly #direct: readonly FarmClient[];
  readonly #startMs = performance.now();
  #leader: string | undefined;
  #isOver = false;

  constructor(options: TortureOptions, stage: Stage, clips: Clips, mark: string) {
    this.#options = options;
    this.#stage = stage;
    this.#clips = clips;
    this.#mark = mark;
    const { signal } = new AbortController();
    const clientOf = (address: string): FarmClient =>
      new FarmClient({ address, trust: PLAINTEXT, token: TOKEN }, signal);
    this.#direct = stage.grpcDirect.map(clientOf);
  }

  async run(): Promise<Verdict> {
    const { seed, timeMs } = this.#options;
    const prng = new Prng(seed);
    const sources = await this.#sources();
    await this.#stage.start();
    this.#tell('nats stores');
    const witness = new Witness(this.#stage.natsUrls, TOKEN);
    const following = this.#followLeader();
    await this.#untilReady();
    this.#tell('all agents are online');
    const clients = this.#startClients([...sources.values()], prng);
    const faults = new Faults(
      this.#stage,
      prng,
      () => this.#leader,
      (line) => this.#tell(line),
    );
    await faults.run(timeMs);
    this.#tell('the faults are over');
    const healedMs = performance.now();
    const unfinished = await this.#settle(clients, healedMs);
    const leftovers = await this.#untilAtRest();
    const settledMs = performance.now() - healedMs;
    this.#tell(`all has ended ${(settledMs / 1000).toFixed(1)} s after the last fault`);
    this.#isOver = true;
    await following;
    await witness.close();
    const evidence = await this.#collect(sources, witness, faults, unfinished);
    await this.#stage.close();
    const left = [...leftovers, ...(await this.#strays())];
    const whole = { ...evidence, leftovers: left };
    const ends = this.#stage.coordinators.flatMap(({ unorderedEnds }) => unorderedEnds);
    const deposed = ends.filter(({ code }) => code === 7).length;
    for (const client of this.#direct) client.close();
    return { evidence: whole, broken: judge(whole), settledMs, deposed };
  }

  async #sources(): Promise<ReadonlyMap<string, string>> {
    const paths = [await this.#clips.path('closed-gop'), await this.#clips.path('open-gop')];
    return new Map(paths.map((path) => [path.slice(path.lastIndexOf('/') + 1), path]));
  }

  #startClients(films: readonly string[], prng: Prng): readonly Party[] {
    const { root, clients, clientProgram } = this.#options;
    return Array.from({ length: clients }, (_, index) => {
      const name = `client${index + 1}`;
      const workDir = join(root, 'work', name);
      mkdirSync(workDir);
      const settings: ClientSettings = {
        name,
        farm: this.#stage.farm,
        token: TOKEN,
        seed: prng.whole(1, 2 ** 31),
        notes: join(root, `${name}.jsonl`),
        ledger: join(root, 'ledger'),
        films: index === 0 ? [...films] : [],
        workDir,
      };
      const party = new Party({
        name,
        kind: 'client',
        program: process.execPath,
        argv: ['--enable-source-maps', clientProgram, JSON.stringify(settings)],
        environment: environmentOf({ mark: this.#mark }),
        logPath: join(root, 'log', `${name}.log`),
      });
      this.#stage.addClient(party);
      party.start();
      return party;
    });
  }

  async #untilReady(): Promise<void> {
    const names = this.#stage.agents.map(({ name }) => name);
    await this.#until(READY_MS, 'the farm is not ready', async () => {
      const client = this.#leading();
      const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
      return names.every((name) =>
        agents.some(
          (agent) => agent.name === name && agent.state === AgentState.AGENT_STATE_ONLINE,
        ),
      );
    });
  }

  /** Clients end when all their jobs have. Answers what had not within the bound. */
  async #settle(clients: readonly Party[], healedMs: number): Promise<readonly string[]> {
    const ended = Promise.all(clients.map((client) => client.finish()));
    const bound = new AbortController();
    const isLate = sleep(this.#options.settleMs, true, { signal: bound.signal }).catch(() => false);
    const late = await Promise.race([isLate, ended.then(() => false)]);
    bound.abort();
    if (!late) return [];
    const seconds = Math.round((performance.now() - healedMs) / 1000);
    const open = await this.#openJobs().catch((error: unknown) => [String(error)]);
    await Promise.all(clients.map((client) => client.kill()));
    return open.length > 0
      ? open
      : [`a client still waited after ${seconds} s, all jobs had ended`];
  }

  async #openJobs(): Promise<readonly string[]> {
    const { jobs } = this.#leading();
    const request = { pageSize: 1000, pageToken: '', includeEnded: false };
    const open = await this.#leading().call(jobs.listJobs.bind(jobs), request);
    return open.jobs.map(({ id, name, steps }) => {
      const counts = steps.map(
        (step) =>
          `${step.name} ${step.accepted}/${step.total} (${step.queued} queued, ${step.leased} leased)`,
      );
      return `${id} (${name}): ${counts.join(', ')}`;
    });
  }

  /** Agents at their baseline; answers what is left when they are not in time. */
  async #untilAtRest(): Promise<readonly string[]> {
    const deadline = performance.now() + BASELINE_MS;
    for (;;) {
      const left = await agentLeftovers(this.#leading(), this.#stage).catch((error: unknown) => [
        `agents cannot be asked: ${String(error)}`,
      ]);
      if (left.length === 0) return unitProcesses(this.#options.root);
      if (performance.now() > deadline) return left;
      await sleep(POLL_MS);
    }
  }

  /** What ends by itself gets a moment. */
  async #strays(): Promise<readonly string[]> {
    const deadline = performance.now() + BASELINE_MS;
    for (;;) {
      const found = strays(this.#options.root, this.#mark);
      if (found.length === 0 || performance.now() > deadline) return found;
      await sleep(POLL_MS);
    }
  }

  async #collect(
    sources: ReadonlyMap<string, string>,
    witness: Witness,
    faults: Faults,
    unfinished: readonly string[],
  ): Promise<Omit<Evidence, 'leftovers'>> {
    const { root, clients } = this.#options;
    const names = Array.from({ length: clients }, (_, index) => `client${index + 1}`);
    const notes = readNotes(names.map((name) => join(root, `${name}.jsonl`)));
    const asked = notes.filter((note) => note.note === 'asks');
    const plans = new Map(asked.map(({ clientId, plan }) => [clientId, plan]));
    const acknowledged = notes.filter((note) => note.note === 'acknowledged');
    const ids = [...new Set(acknowledged.map(({ jobId }) => jobId))];
    const jobs: JobAtEnd[] = [];
    const films = new Map<string, string>();
    for (const jobId of ids) {
      const job = await jobAtEnd(this.#leading(), jobId);
      if (job === undefined) continue;
      jobs.push(job);
      const source = plans.get(job.clientId)?.source;
      if (source !== undefined && job.state === 'succeeded') films.set(jobId, source);
    }
    return {
      clients: notes,
      verdicts: readVerdicts(this.#stage),
      ledger: readLedger(join(root, 'ledger')),
      journal: witness.messages,
      journalFaults: witness.faults,
      jobs,
      outputs: await fetchOutputs(this.#leading(), ids, plans),
      disagreements: await this.#disagreements(jobs),
      films: await fetchFilms(this.#leading(), films, sources, join(root, 'films')),
      faults: faults.seen,
      starts: readStarts(this.#stage),
      crashes: this.#crashes(),
      unfinished,
    };
  }

  /** Of each coordinator that stands by, once it has read all that there is. */
  async #disagreements(jobs: readonly JobAtEnd[]): Promise<readonly string[]> {
    const lines: string[] = [];
    for (const [index, { name }] of this.#stage.coordinators.entries()) {
      const client = this.#direct[index];
      if (client === undefined || name === this.#leader) continue;
      await this.#until(READY_MS, `${name} does not come to the journal's end`, async () => {
        const status = await client.call(client.farm.getStatus.bind(client.farm), {});
        return status.standby && status.lagCommits === 0;
      });
      for (const job of jobs) {
        const other = await jobAtEnd(client, job.jobId);
        if (isDeepStrictEqual(other, job)) continue;
        lines.push(`the standby ${name} shows ${job.jobId} otherwise than the leader`);
      }
    }
    return lines;
  }

  #crashes(): readonly string[] {
    return this.#stage.parties.flatMap(({ kind, unorderedEnds }) =>
      unorderedEnds
        .filter(({ code }) => kind !== 'coordinator' || !ORDERLY_ENDS.has(code))
        .map(({ party, code, signal, atMs, lastWords }) => {
          const how = signal === null ? `code ${code}` : signal;
          const at = new Date(atMs).toISOString();
          return `${party} ended with ${how} at ${at}: ${lastWords}`;
        }),
    );
  }

  /** Only for choosing victims: what is asked is what each says of itself. */
  async #followLeader(): Promise<void> {
    while (!this.#isOver) {
      const leads = await Promise.all(
        this.#direct.map(async (client) => {
          const call = client.call(client.farm.getStatus.bind(client.farm), {}, STATUS_DEADLINE_MS);
          const status = await call.catch(() => undefined);
          return status !== undefined && !status.standby ? status.epoch : 0;
        }),
      );
      const newest = Math.max(...leads);
      this.#leader = newest > 0 ? `c${leads.indexOf(newest) + 1}` : this.#leader;
      await sleep(LEADER_POLL_MS);
    }
  }

  /** Past all fronts: a standby that was asked would not know the agents. */
  #leading(): FarmClient {
    const index = this.#stage.coordinators.findIndex(({ name }) => name === this.#leader);
    const client = this.#direct[Math.max(0, index)];
    if (client === undefined) throw new Error('there is no coordinator');
    return client;
  }

  async #until(limitMs: number, what: string, look: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!(await look().catch(() => false))) {
      if (performance.now() > deadline) throw new Error(what);
      await sleep(POLL_MS);
    }
  }

  #tell(line: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1);
    this.#options.tell(`${seconds.padStart(6)}  ${line}`);
  }
}

/** For whoever looks into it later. */
export function saveEvidence(root: string, { evidence, broken }: Verdict): void {
  const { journal, ...rest } = evidence;
  const commits = journal.map(({ sequence, hash, commit }) =>
    JSON.stringify({
      sequence,
      hash,
      ...commit,
      writerId: commit.writerId.toString('hex'),
      previousHash: commit.previousHash.toString('hex'),
    }),
  );
  writeFileSync(join(root, 'journal.jsonl'), `${commits.join('\n')}\n`);
  writeFileSync(join(root, 'evidence.json'), JSON.stringify({ broken, ...rest }, undefined, 1));
}

/**
 * One run of a coordinator's program: the real candidate, follower, office and reign over a simulated
 * journal, with the thinnest of adapters in front of them.
 */
import { serve } from '../../coordinator/candidate.ts';
import type { CommandLoop } from '../../coordinator/command-loop.ts';
import { CommitFold } from '../../coordinator/commit-fold.ts';
import { inputBlobs } from '../../coordinator/domain/assignment.ts';
import { blobsToRun } from '../../coordinator/domain/blob-references.ts';
import type { Answer, Command, ListFault } from '../../coordinator/domain/commands.ts';
import type { Farm } from '../../coordinator/domain/farm.ts';
import { newLiveness } from '../../coordinator/domain/liveness.ts';
import { MIN_TAKEOVER_GRACE_MS } from '../../coordinator/domain/takeover-grace.ts';
import { sightingFromWire, unlessRefused } from '../../coordinator/grpc/wire.ts';
import { type Leader, LeaderKey } from '../../coordinator/journal/election.ts';
import { Follower } from '../../coordinator/journal/follower.ts';
import { JobArchive } from '../../coordinator/job-archive.ts';
import { loadFarm } from '../../coordinator/journal/load-farm.ts';
import { Office } from '../../coordinator/office.ts';
import type { Committed } from '../../coordinator/ports.ts';
import { beginReign, type Reign } from '../../coordinator/reign.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { AdvertiseRequest, JournalPlace } from '../../proto/gen/furrow/v1/agent_service.ts';
import { JOURNAL_SUBJECT } from '../../proto/subjects.ts';
import type { JournalStore } from './journal-store.ts';
import { Unanswered } from './nats-client.ts';
import type { Network, SimStream } from './network.ts';
import type { Prng } from './prng.ts';
import { SimAgentService } from './sim-agent-service.ts';
import { SimArchiveStore } from './sim-archive.ts';
import { type BlobDisk, SimBlobStore } from './sim-blobs.ts';
import { SimJournal } from './sim-journal.ts';
import { simKeyStore } from './sim-key.ts';
import type { SimProcess } from './sim-process.ts';
import { neededBlobs, SIM_LISTS } from './sim-lists.ts';
import { SimSnapshotStore } from './sim-snapshots.ts';
import { SimWorkPlane } from './sim-work-plane.ts';
import type { Timeline } from './timeline.ts';
import { Violation } from './violation.ts';
import { acceptedUnits, type Witness } from './witness.ts';

export interface SimCoordinatorOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly store: JournalStore;
  readonly witness: Witness;
  readonly prng: Prng;
  /** Its address is the machine's name. */
  readonly machine: string;
  /** Which run of the machine's program this is. */
  readonly pid: number;
  readonly process: SimProcess;
  readonly leaseTtlMs: number;
  /** How fast a machine's clock runs at most. */
  readonly fastestRate: number;
  readonly blobDisk: BlobDisk;
  /** A snapshot every so many commits. */
  readonly snapshotCommits: number;
  readonly log: Logger;
  readonly fail: (error: unknown) => void;
}

/** Short enough that jobs leave, and failed ones are pushed out, while a seed runs. */
const RETENTION = { jobMs: 120_000, mostEnded: 10 };

/** What a program has once its journal is loaded. */
interface Serving {
  readonly office: Office;
  readonly fold: CommitFold;
  readonly follower: Follower;
  readonly agents: SimAgentService;
  reign: Reign | undefined;
}

export class SimCoordinator {
  readonly process: SimProcess;
  readonly machine: string;
  readonly blobs: SimBlobStore;
  readonly #options: SimCoordinatorOptions;
  readonly #journal: SimJournal;
  readonly #key: LeaderKey;
  readonly #archiveStore: SimArchiveStore;
  readonly #archive: JobArchive;
  readonly #closing = new AbortController();
  #serving: Serving | undefined;
  #measured = 0;
  #checkedAt = 0;

  constructor(options: SimCoordinatorOptions) {
    this.#options = options;
    const { process, prng, blobDisk: disk, witness, machine, pid, log } = options;
    this.process = process;
    this.machine = machine;
    this.#journal = new SimJournal(options);
    this.#archiveStore = new SimArchiveStore(options);
    this.#archive = new JobArchive(this.#archiveStore, log);
    this.blobs = new SimBlobStore({
      disk,
      process,
      prng: prng.fork(),
      onDeleted: (sha256, wasPromised) =>
        this.#guarded(() => witness.onBlobDeleted(sha256, wasPromised)),
    });
    const own: Leader = {
      host: machine,
      space: machine,
      pid,
      processStart: process.name,
      grpc: machine,
      http: machine,
    };
    this.#key = new LeaderKey({
      store: simKeyStore(options),
      clock: process.clock,
      log,
      own,
      // A machine runs one at a time: who was there before is no more.
      isOver: (leader) => leader.space === machine && leader.pid !== pid,
    });
    process.atExit(() => this.#serving?.reign?.stop());
  }

  /** Loads the farm, then stands by or leads to its end. */
  async run(): Promise<void> {
    const { process, witness, log, timeline, network, machine } = this.#options;
    const [journal, clock] = [this.#journal, process.clock];
    const snapshots = new SimSnapshotStore(this.#options);
    const loaded = await loadFarm(journal, snapshots, log);
    witness.onLoaded(loaded.farm, journal.tail.sequence, loaded.snapshotSequence);
    const fold = new CommitFold(loaded.farm, loaded.commits, () => {});
    const follower = new Follower({
      journal,
      hearAppends: (wake) =>
        network.subscribe(JOURNAL_SUBJECT, { machine, process, handler: wake, survives: true }),
      clock,
      log,
      onCommit: (commit) => fold.take(commit),
    });
    const liveness = newLiveness(this.#options.leaseTtlMs);
    const office = new Office({
      farm: fold.farm,
      liveness,
      follower,
      monotonicMs: () => clock.monotonicMs(),
      lastSequence: () => journal.tail.sequence,
      missing: (seen, seenBy) => {
        const message = `${process.name} takes its store for another: ${seenBy} has seen ${JSON.stringify(seen)}`;
        this.#options.fail(new Violation('acknowledged-lost', message));
      },
    });
    const guarded = (run: () => void): void => this.#guarded(run);
    const agents = new SimAgentService({ ...this.#options, office, guarded });
    const serving: Serving = { office, fold, follower, agents, reign: undefined };
    this.#serving = serving;
    const ending = await serve({
      key: this.#key,
      journal,
      follower,
      fold,
      office,
      clock,
      log,
      closing: this.#closing.signal,
      beginReign: (deposed) => this.#beginReign(serving, snapshots, deposed),
      onDuty: () => Promise.resolve(),
    });
    timeline.note(`${process.name} ends: ${ending.state}`);
    process.kill();
  }

  /** As SIGTERM: the key is handed on. */
  leave(): void {
    this.#closing.abort();
    this.#serving?.reign?.stop();
    void this.#key.release().then(() => this.process.kill());
  }

  #beginReign(
    serving: Serving,
    snapshots: SimSnapshotStore,
    deposed: (reason: string) => void,
  ): CommandLoop {
    const { process, witness, log, fastestRate, snapshotCommits, fail, timeline } = this.#options;
    const { office, fold, agents } = serving;
    const { farm, liveness } = office;
    const graceMs = Math.max(MIN_TAKEOVER_GRACE_MS, liveness.leaseTtlMs + 5_000);
    this.#guarded(() => {
      witness.checkFold(farm, this.#journal.tail.sequence);
      witness.onLeading(farm.epoch, process.name, graceMs / fastestRate);
    });
    const guarded = (run: () => void): void => this.#guarded(run);
    serving.reign = beginReign({
      clock: process.clock,
      log,
      journal: this.#journal,
      snapshots,
      store: this.blobs,
      lists: SIM_LISTS,
      archiveStore: this.#archiveStore,
      archive: this.#archive,
      retention: RETENTION,
      outputRetentionMs: 0,
      farm,
      liveness,
      takeoverGraceMs: MIN_TAKEOVER_GRACE_MS,
      snapshotCommits,
      commitsSince: fold.commitsSince,
      openWorkPlane: (loop, findMissing) =>
        new SimWorkPlane({ ...this.#options, office, farm, loop, findMissing, guarded, fail }),
      stop: (order) => agents.stop(order),
      retract: (order) => agents.retract(order),
      stalled: (step) => {
        timeline.note(`${process.name} sees a stall: ${step.state}, ${step.stall.why}`);
        this.#guarded(() => witness.onStallStep(step));
        if (step.state !== 'ask-agents') return;
        for (const agentId of step.stall.agentIds) agents.hangUp(agentId);
      },
      publish: (commit: Committed) => this.#guarded(() => agents.checkExpiries(commit)),
      superseded: deposed,
    });
    return serving.reign.loop;
  }

  // --- what it is -----------------------------------------------------------------------------

  /** Epoch of its reign; undefined when it does not lead. */
  get reignEpoch(): number | undefined {
    if (this.#serving?.reign === undefined || !this.process.isAlive) return undefined;
    return this.#serving.office.farm.epoch;
  }

  /** Whether it has decided nothing that is not stored. */
  get isSettled(): boolean {
    return this.#serving !== undefined && this.process.isAlive && !this.#journal.isOwing;
  }

  get farm(): Farm | undefined {
    return this.#serving?.office.farm;
  }

  /** Sequence of the last commit that it has read or written. */
  get sequence(): number {
    return this.#journal.tail.sequence;
  }

  /** Looks at what has changed in it since the last time. */
  check(): void {
    const { witness } = this.#options;
    if (this.#serving === undefined) return;
    const { farm, liveness } = this.#serving.office;
    if (this.#measured !== this.#journal.measured) {
      this.#measured = this.#journal.measured;
      if (this.reignEpoch !== undefined) witness.checkLeader(farm, liveness);
    }
    if (this.sequence === this.#checkedAt || !this.isSettled) return;
    if (witness.checkFold(farm, this.sequence)) this.#checkedAt = this.sequence;
  }

  /** What a broken promise throws must not vanish in a promise of the code under test. */
  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.fail(error);
    }
  }

  // --- agents ---------------------------------------------------------------------------------

  /** A beat came in on a stream whose end 1 is ours. */
  onBeat(stream: SimStream, request: AdvertiseRequest): void {
    if (this.#serving === undefined) stream.close(1);
    else this.#serving.agents.onBeat(stream, request);
  }

  onStreamClosed(stream: SimStream, agentId: string): void {
    this.#serving?.agents.onStreamClosed(stream, agentId);
  }

  /** An agent comes, or comes back. Answers the journal's end, for it to remember. */
  enrol(agentId: string, seen: JournalPlace | undefined): Promise<JournalPlace | FurrowError> {
    return this.#served(async ({ office }) => {
      await office.hear(sightingFromWire(seen, office.farm.farmId), agentId);
      const machineFingerprint = `machine-of-${agentId}`;
      const versions = { version: '1.0.0', coordinatorVersion: '1.0.0' };
      const agent = { agentId, name: agentId, machineFingerprint, ...versions };
      unlessRefused(await office.submit({ type: 'EnrolAgent', ...agent }));
      return { farmId: office.farm.farmId, ...office.place };
    });
  }

  // --- clients --------------------------------------------------------------------------------

  /** Which blobs a client must upload. */
  async findMissing(hashes: readonly string[]): Promise<readonly string[] | FurrowError> {
    return this.#served(async ({ office }) => {
      office.mustLead();
      return this.blobs.findMissing(hashes);
    });
  }

  /** A client's call: the answer of the loop, or why there is none. */
  async call(call: Command): Promise<Answer | FurrowError> {
    return this.#served(async ({ office }) => {
      office.mustLead();
      const command = await this.#withFindings(office.farm, call);
      const answer = await office.submit(command);
      const { witness } = this.#options;
      this.#guarded(() => {
        if (command.type === 'SubmitJob') witness.onSubmitAnswered(command, answer);
        if (command.type === 'CancelJob') witness.onCancelAnswered(command.job, answer);
      });
      return answer;
    });
  }

  /** A client looks at a job that was acknowledged: whoever answers knows it, or says that it is behind. */
  async look(job: number): Promise<void | FurrowError> {
    return this.#served(async ({ office }) => {
      const { witness } = this.#options;
      if (!office.farm.jobs.has(job)) await office.reachEnd();
      // What is not there by then is said not to be there, however the journal stands.
      if (!office.farm.jobs.has(job)) return this.#guarded(() => witness.onSeen(job, undefined));
      const seen = await office.readJob(job, (_, found) => acceptedUnits(found));
      this.#guarded(() => witness.onSeen(job, seen));
    });
  }

  async #served<T>(serving: (serving: Serving) => Promise<T>): Promise<T | FurrowError> {
    try {
      if (this.#serving === undefined) return LOADING;
      return await serving(this.#serving);
    } catch (error) {
      if (error instanceof FurrowError) return error;
      if (!(error instanceof Unanswered)) {
        this.#options.fail(new Violation('crashed', messageOf(error)));
      }
      return LOADING;
    }
  }

  async #withFindings(farm: Farm, command: Command): Promise<Command> {
    switch (command.type) {
      case 'SubmitJob': {
        const missingBlobs = await this.blobs.findMissing(inputBlobs(command.steps));
        const unlisted = await this.blobs.findMissing(neededBlobs(command.steps));
        const listFault: ListFault | undefined =
          unlisted.length > missingBlobs.length
            ? { reason: 'BLOB_MISSING', message: 'simulated' }
            : undefined;
        const archived = await this.#archive.lookUpClientId(farm.archive, command.clientId);
        return { ...command, missingBlobs, listFault, archived };
      }
      case 'RetryJob': {
        const job = farm.jobs.get(command.job);
        const specs = job?.steps.map(({ spec }) => spec) ?? [];
        const needed = job?.end === undefined ? [] : [...blobsToRun(job), ...neededBlobs(specs)];
        return { ...command, missingBlobs: await this.blobs.findMissing(needed) };
      }
      default:
        return command;
    }
  }
}

const LOADING = new FurrowError('unavailable', 'FARM_UNREACHABLE', 'simulated: it is loading');

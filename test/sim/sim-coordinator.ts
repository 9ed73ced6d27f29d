/**
 * One run of a coordinator: the real command loop over a simulated journal, and the thinnest of
 * adapters in front of it, with the messages of the real ones.
 */
import { apply } from '../../coordinator/domain/apply.ts';
import type { Committed } from '../../coordinator/ports.ts';
import { CommandLoop } from '../../coordinator/command-loop.ts';
import type { GrantOrder } from '../../coordinator/domain/assignment.ts';
import type {
  Answer,
  Command,
  GrantAnswered,
  ReportResults,
} from '../../coordinator/domain/commands.ts';
import type { StopOrder } from '../../coordinator/domain/decision.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { blobsToRun } from '../../coordinator/domain/blob-references.ts';
import { emptyFarm, type Farm } from '../../coordinator/domain/farm.ts';
import {
  beginTakeoverGrace,
  type Liveness,
  MIN_TAKEOVER_GRACE_MS,
  newLiveness,
} from '../../coordinator/domain/liveness.ts';
import {
  beatFromWire,
  grantToWire,
  resultFromWire,
  tokenFromWire,
  tokenToWire,
  verdictToWire,
} from '../../coordinator/grpc/wire.ts';
import { inputBlobs } from '../../coordinator/domain/assignment.ts';
import { loadFarm } from '../../coordinator/journal/load-farm.ts';
import { Snapshots } from '../../coordinator/snapshots.ts';
import { Sweeper } from '../../coordinator/sweeper.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { grantSubject, RESULT_SUBJECTS } from '../../proto/subjects.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { GrantReply, ResultBatch, ResultReply } from '../../proto/gen/furrow/work/v1/work.ts';
import type { JournalStore } from './journal-store.ts';
import type { Network, RequestAnswer, SimStream } from './network.ts';
import type { Prng } from './prng.ts';
import { type BlobDisk, SimBlobStore } from './sim-blobs.ts';
import { SimJournal, SimSnapshotStore } from './sim-journal.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import { Violation, type Witness } from './witness.ts';

export interface SimCoordinatorOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly store: JournalStore;
  readonly witness: Witness;
  readonly prng: Prng;
  readonly machine: string;
  readonly process: SimProcess;
  readonly leaseTtlMs: number;
  /** How fast this machine's clock runs at most. */
  readonly fastestRate: number;
  readonly blobDisk: BlobDisk;
  /** A snapshot every so many commits. */
  readonly snapshotCommits: number;
  readonly log: Logger;
  readonly fail: (error: unknown) => void;
}

const GRANT_TIMEOUT_MS = 2_000;
/** A shorter stall of its own goes by unseen. */
const UNSEEN_STALL_MS = 1_300;

interface TakenBeat {
  readonly wallMs: number;
  readonly awakeMs: number;
  readonly tokens: ReadonlySet<Token>;
}

export class SimCoordinator {
  readonly process: SimProcess;
  readonly machine: string;
  readonly blobs: SimBlobStore;
  farm: Farm = emptyFarm();
  readonly liveness: Liveness;
  readonly #options: SimCoordinatorOptions;
  readonly #journal: SimJournal;
  readonly #streams = new Map<string, { readonly stream: SimStream; readonly session: string }>();
  #loop: CommandLoop | undefined;
  #sweeper: Sweeper | undefined;
  #snapshots: Snapshots | undefined;
  #measured = 0;
  /** By agent: its last beats, newest first, and how long this process had then been awake. */
  readonly #beats = new Map<string, TakenBeat[]>();

  constructor(options: SimCoordinatorOptions) {
    this.#options = options;
    this.process = options.process;
    this.machine = options.machine;
    this.liveness = newLiveness(options.leaseTtlMs);
    this.#journal = new SimJournal(options);
    const { process, prng, blobDisk: disk, witness } = options;
    this.blobs = new SimBlobStore({
      disk,
      process,
      prng: prng.fork(),
      onDeleted: (sha256, wasPromised) =>
        this.#guarded(() => witness.onBlobDeleted(sha256, wasPromised)),
    });
    process.atExit(() => {
      this.#loop?.stop();
      this.#sweeper?.stop();
    });
  }

  /** Loads the farm, stands for election, and serves if it won; else it ends. */
  async start(): Promise<void> {
    const { process, witness, log, blobDisk } = this.#options;
    const journal = this.#journal;
    const snapshots = new SimSnapshotStore(this.#options);
    const { farm, commits, snapshotSequence } = await loadFarm(journal, snapshots, log);
    witness.onLoaded(farm, snapshotSequence);
    const election = await journal.startEpoch();
    if (election.state === 'superseded') return process.kill();
    for (const fact of election.commit.facts) apply(farm, fact);
    this.farm = farm;
    blobDisk.owner = process;
    const { liveness } = this;
    const { clock } = process;
    const nowMs = clock.monotonicMs();
    beginTakeoverGrace(liveness, farm, nowMs, MIN_TAKEOVER_GRACE_MS);
    const graceMs = Math.max(MIN_TAKEOVER_GRACE_MS, liveness.leaseTtlMs + 5_000);
    witness.onLeading(farm.epoch, graceMs / this.#options.fastestRate);
    const loop = new CommandLoop({ farm, liveness, journal, clock, effects: this.#effects() });
    this.#loop = loop;
    const everyCommits = this.#options.snapshotCommits;
    const options = { farm, loop, journal, store: snapshots, log, everyCommits };
    this.#snapshots = new Snapshots(options, commits);
    this.#sweeper = new Sweeper(loop, this.blobs, clock, log);
    this.#sweeper.start();
    this.subscribe();
  }

  /** Listens for results: at the start, and once more for each run of nats-server. */
  subscribe(): void {
    if (this.#loop === undefined) return;
    const { network, machine } = this.#options;
    network.subscribe(RESULT_SUBJECTS, machine, this.process, (payload, reply) =>
      this.#onResults(payload as ResultBatch, reply),
    );
  }

  get isServing(): boolean {
    return this.#loop !== undefined && this.process.isAlive;
  }

  /** Whether the loop has decided nothing that is not stored. */
  get isSettled(): boolean {
    return this.isServing && !this.#journal.isOwing;
  }

  /** Whether facts were decided since the last time that this was asked. */
  takeChanged(): boolean {
    const changed = this.#measured !== this.#journal.measured;
    this.#measured = this.#journal.measured;
    return changed;
  }

  #effects(): ConstructorParameters<typeof CommandLoop>[0]['effects'] {
    return {
      grant: (order) => this.#guarded(() => this.#grant(order)),
      stop: (order) => this.#guarded(() => this.#stop(order)),
      committed: (commit) => {
        this.#guarded(() => this.#checkExpiries(commit));
        this.#sweeper?.committed(commit);
        this.#snapshots?.committed();
      },
      superseded: (message) => {
        this.#options.timeline.note(`${this.process.name} steps down: ${message}`);
        this.process.kill();
      },
    };
  }

  /** What a broken promise throws must not vanish in a promise of the code under test. */
  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.fail(error);
    }
  }

  // --- work plane -----------------------------------------------------------------------------

  #grant(order: GrantOrder): void {
    const { network, machine, witness, timeline } = this.#options;
    witness.onGrantSaid(order);
    const { agentId, session, number: grantNumber } = order;
    timeline.note(`${this.process.name} grants ${agentId} #${grantNumber}`);
    const payload = grantToWire(order, this.farm.farmId, this.farm.epoch);
    const subject = grantSubject(agentId, session);
    network.request<GrantReply>(
      machine,
      this.process,
      subject,
      payload,
      GRANT_TIMEOUT_MS,
      (reply) => {
        const answer = grantAnswer(order, reply);
        void this.#ask({ type: 'GrantAnswered', agentId, session, grantNumber, answer });
      },
    );
  }

  #onResults(batch: ResultBatch, reply: (value: ResultReply) => void): void {
    const { witness, timeline } = this.#options;
    const storedEpoch = witness.stored.epoch;
    const command: ReportResults = {
      type: 'ReportResults',
      agentId: batch.agentId,
      session: batch.session,
      results: batch.results.map((result) => {
        const outputs = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
        const hashes = outputs.map((file) => file.sha256);
        this.#sweeper?.note(hashes);
        const missingBlobs = hashes.filter((sha256) => !this.blobs.has(sha256));
        return { ...resultFromWire(result), missingBlobs };
      }),
    };
    void this.#ask(command).then((answer) => {
      if (answer?.kind !== 'verdicts') return;
      this.#guarded(() => witness.onVerdictsSaid(command, answer, this.farm.epoch, storedEpoch));
      const kinds = answer.verdicts.map((verdict) => verdict.kind).join();
      timeline.note(`${this.process.name} says ${kinds} to ${batch.agentId}`);
      reply({
        farmId: this.farm.farmId,
        epoch: this.farm.epoch,
        verdicts: batch.results.map((result, index) =>
          verdictToWire(result.token, answer.verdicts[index] ?? { kind: 'none' }),
        ),
      });
    });
  }

  // --- control plane --------------------------------------------------------------------------

  /** A beat came in on a stream; `side` is our end of it. */
  onBeat(stream: SimStream, side: 0 | 1, request: AdvertiseRequest): void {
    if (this.#loop === undefined) return stream.close(side);
    const { agentId, session } = request;
    try {
      const beat = beatFromWire(request);
      const { releasedGrant, drain } = this.#loop.beat(beat);
      const { awakeMs, clock } = this.process;
      const tokens = new Set(beat.inventory.map(({ token }) => token));
      const beats = [
        { wallMs: clock.wallMs(), awakeMs, tokens },
        ...(this.#beats.get(agentId) ?? []),
      ];
      this.#beats.set(agentId, beats.slice(0, 20));
      const before = this.#streams.get(agentId);
      this.#streams.set(agentId, { stream, session });
      if (before !== undefined && before.stream !== stream) before.stream.close(side);
      stream.send(side, this.#response({ beat: request.beat, releasedGrant, drain, stop: [] }));
    } catch (error) {
      if (!(error instanceof FurrowError)) throw error;
      if (error.reason === 'SESSION_FENCED') {
        this.#guarded(() => this.#options.witness.onFenced(agentId, session));
      }
      this.#options.timeline.note(`${this.process.name} refuses a beat: ${messageOf(error)}`);
      stream.close(side);
    }
  }

  onStreamClosed(stream: SimStream, agentId: string): void {
    const open = this.#streams.get(agentId);
    if (open?.stream !== stream) return;
    this.#streams.delete(agentId);
    void this.#ask({ type: 'StreamClosed', agentId, session: open.session });
  }

  /** Who was heard within the lease, by our own waking time, must not lose it. */
  #checkExpiries({ facts }: Committed): void {
    const { leaseTtlMs } = this.liveness;
    for (const fact of facts) {
      if (fact.type !== 'LeaseEnded' || !/heartbeat/.test(fact.message)) continue;
      // One that came after it was decided does not count.
      const heard = this.#beats.get(fact.agentId)?.find(({ wallMs }) => wallMs < fact.atMs);
      if (heard?.tokens.has(fact.token) !== true) continue;
      const silentMs = (this.process.awakeMs - heard.awakeMs) * this.#options.fastestRate;
      if (silentMs + UNSEEN_STALL_MS >= leaseTtlMs) continue;
      const message = `${fact.agentId} was heard ${Math.round(silentMs)} ms ago: ${fact.message}`;
      throw new Violation('expired-while-renewed', message);
    }
  }

  #stop(order: StopOrder): void {
    this.#options.witness.onStopSaid(order);
    const drain = this.farm.agents.get(order.agentId)?.draining ?? false;
    const stop = order.tokens.map(tokenToWire);
    // A beat number of 0 renews nothing.
    const response = this.#response({ beat: 0, releasedGrant: 0, drain, stop });
    this.#streams.get(order.agentId)?.stream.send(1, response);
  }

  #response(
    said: Pick<AdvertiseResponse, 'beat' | 'releasedGrant' | 'drain' | 'stop'>,
  ): AdvertiseResponse {
    const { farmId, epoch } = this.farm;
    return { farmId, epoch, leaseTtlMs: this.liveness.leaseTtlMs, ...said };
  }

  // --- clients --------------------------------------------------------------------------------

  /** The answer of the loop; undefined when it takes nothing now. */
  async #ask(command: Command): Promise<Answer | undefined> {
    try {
      return await this.#loop?.submit(command);
    } catch (error) {
      if (error instanceof FurrowError) return undefined;
      this.#options.fail(new Violation('crashed', messageOf(error)));
      return undefined;
    }
  }

  /** Which blobs a client must upload; undefined while it does not serve. */
  findMissing(hashes: readonly string[]): readonly string[] | undefined {
    return this.isServing ? this.blobs.findMissing(hashes) : undefined;
  }

  #withMissingBlobs(command: Command): Command {
    switch (command.type) {
      case 'SubmitJob':
        return { ...command, missingBlobs: this.blobs.findMissing(inputBlobs(command.steps)) };
      case 'RetryJob': {
        const job = this.farm.jobs.get(command.job);
        const needed = job?.end === undefined ? [] : blobsToRun(job);
        return { ...command, missingBlobs: this.blobs.findMissing(needed) };
      }
      default:
        return command;
    }
  }

  /** A client's or an agent's call. */
  async call(call: Command): Promise<Answer | undefined> {
    const command = this.#withMissingBlobs(call);
    const answer = await this.#ask(command);
    if (answer === undefined) return undefined;
    this.#guarded(() => {
      const { witness } = this.#options;
      if (command.type === 'SubmitJob') witness.onSubmitAnswered(command, answer);
      if (command.type === 'CancelJob') witness.onCancelAnswered(command.job, answer);
    });
    return answer;
  }
}

function grantAnswer(order: GrantOrder, reply: RequestAnswer<GrantReply>): GrantAnswered['answer'] {
  if (reply.state !== 'answered') return reply;
  const { refused, refusedAll } = reply.value;
  if (refusedAll === '') {
    const refusals = refused.map(({ token, reason }) => ({ token: tokenFromWire(token), reason }));
    return { state: 'answered', refused: refusals };
  }
  const tokens = order.steps.flatMap((step) => step.leases.map((lease) => lease.token));
  return { state: 'answered', refused: tokens.map((token) => ({ token, reason: refusedAll })) };
}

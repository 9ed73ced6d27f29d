/**
 * One coordinator, put together: the journal is loaded, the listeners open, and from then on it either
 * stands by and follows another's reign, or leads. The order matters: nothing is decided before the
 * epoch is ours, and whoever lost it never decides again.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { writeFarmFile } from '../kit/furrow-home.ts';
import type { Logger } from '../kit/log.ts';
import { connectNats } from '../kit/nats-connection.ts';
import { ensureToken, readToken } from '../kit/token-file.ts';
import { PACKAGE_ROOT } from '../kit/version.ts';
import { tokenAccess } from './access.ts';
import { openBlobStore } from './blobs/open-blob-store.ts';
import type { CoordinatorConfig } from './config.ts';
import { apply } from './domain/apply.ts';
import { newLiveness } from './domain/liveness.ts';
import { viewOfJob } from './domain/views.ts';
import { AgentStreams } from './grpc/agent-service.ts';
import { type GrpcServer, startGrpcServer } from './grpc/server.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { type LeaderAddress, LeaderKey, POLL_MS } from './journal/election.ts';
import { Follower } from './journal/follower.ts';
import { type JetStreamJournal, openJournal } from './journal/jetstream-journal.ts';
import { type LoadedFarm, loadFarm } from './journal/load-farm.ts';
import { SnapshotStore } from './journal/snapshot-store.ts';
import { Office } from './office.ts';
import type { BlobStore, Committed, CommitRecord } from './ports.ts';
import { ReadModel } from './read-model.ts';
import { beginReign, type Reign } from './reign.ts';
import { servicesOf } from './services.ts';
import { SurroundingsWatch } from './surroundings.ts';
import { WatchHub } from './watch-hub.ts';
import { subscribeProgress } from './work/nats-work-plane.ts';
import { ensureLogStream } from './work/unit-logs.ts';

const CLOSE_GRACE_MS = 2_000;
/** After an election that another won by a commit: its key will be fresh by then. */
const AFTER_DEFEAT_MS = 2_000;

/**
 * Why a coordinator is at its end.
 * - `closed`: it was asked to.
 * - `deposed`: another leads.
 * - `cut-off`: it stood by, and the journal was cut above what it had read: started again, it begins
 *   at a snapshot.
 */
export type Ending =
  | { readonly state: 'closed' }
  | { readonly state: 'deposed'; readonly reason: string }
  | { readonly state: 'cut-off' };

export interface RunningCoordinator {
  /** HOST:PORT of the gRPC server. */
  readonly grpcAddress: string;
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Rejects with FurrowError when it can neither lead nor follow. */
  readonly ended: Promise<Ending>;
  /** Ends listeners, then connections. What is committed stays committed. */
  close(): Promise<void>;
}

interface Foundation {
  readonly nats: NatsConnection;
  readonly natsToken: string;
  readonly token: string;
  readonly store: BlobStore;
  readonly journal: JetStreamJournal;
  readonly snapshots: SnapshotStore;
  readonly loaded: LoadedFarm;
}

/** Settles once the listeners are open and it leads or stands by. Rejects with FurrowError. */
export async function startCoordinator(
  config: CoordinatorConfig,
  log: Logger,
): Promise<RunningCoordinator> {
  const foundation = await layFoundation(config, log);
  const coordinator = new Coordinator(config, log, foundation);
  try {
    await coordinator.listen();
    const ended = coordinator.serve();
    await Promise.race([coordinator.onDuty, ended]);
    const { grpcAddress, grpcPort, httpPort } = coordinator;
    return { grpcAddress, grpcPort, httpPort, ended, close: () => coordinator.close() };
  } catch (error) {
    await coordinator.close();
    throw error;
  }
}

async function layFoundation(config: CoordinatorConfig, log: Logger): Promise<Foundation> {
  const token = await ensureToken(config.home.tokenFile);
  const natsToken =
    config.natsTokenFile === undefined ? token : await readToken(config.natsTokenFile);
  await mkdir(config.home.coordinatorDir, { recursive: true, mode: 0o700 });
  const store = await openBlobStore(config, log);
  const nats = await connectNats({
    servers: config.nats,
    token: natsToken,
    name: 'furrow coordinator',
    onStatus: (status) => log.info({ nats: status.state }, 'nats connection'),
  });
  try {
    const journal = await openJournal({
      nats,
      clock: systemClock,
      log,
      stream: { replicas: config.replicas, maxBytes: -1 },
      identityPath: join(config.home.coordinatorDir, 'identity.json'),
      acceptRestoredStore: config.acceptRestoredStore,
    });
    await ensureLogStream(await nats.jetstreamManager({ checkAPI: false }), config.replicas);
    const snapshots = await SnapshotStore.open(nats, config.replicas);
    const loaded = await loadFarm(journal, snapshots, log);
    return { nats, natsToken, token, store, journal, snapshots, loaded };
  } catch (error) {
    await nats.close();
    throw error;
  }
}

class Coordinator {
  /** Settles once it leads or stands by for the first time. */
  readonly onDuty: Promise<void>;
  readonly #config: CoordinatorConfig;
  readonly #log: Logger;
  readonly #foundation: Foundation;
  readonly #readModel: ReadModel;
  readonly #hub = new WatchHub();
  readonly #streams = new AgentStreams();
  readonly #follower: Follower;
  readonly #office: Office;
  readonly #surroundings: SurroundingsWatch;
  readonly #closing = new AbortController();
  /** Commits behind the newest snapshot. */
  #commitsSince: number;
  #grpc: GrpcServer | undefined;
  #http: HttpServer | undefined;
  #key: LeaderKey | undefined;
  #reign: Reign | undefined;
  /** HOST:PORT of the one that led before. */
  #peers: readonly string[] = [];
  #closed: Promise<void> | undefined;
  #takeUpDuty: () => void = () => {};

  constructor(config: CoordinatorConfig, log: Logger, foundation: Foundation) {
    this.onDuty = new Promise((resolve) => (this.#takeUpDuty = resolve));
    this.#config = config;
    this.#log = log;
    this.#foundation = foundation;
    const { nats, journal, store, loaded } = foundation;
    this.#commitsSince = loaded.commits;
    this.#readModel = new ReadModel(loaded.farm, journal.tail.sequence);
    const onCommit = (commit: CommitRecord): void => this.#take(commit);
    this.#follower = new Follower({ nats, journal, clock: systemClock, log, onCommit });
    const liveness = newLiveness(config.leaseTtlMs);
    const now = (): number => systemClock.monotonicMs();
    this.#office = new Office(loaded.farm, liveness, this.#follower, now);
    const monitorUrls = config.natsMonitor ?? [];
    this.#surroundings = new SurroundingsWatch({ nats, store, monitorUrls });
  }

  get grpcAddress(): string {
    return this.#grpc?.address ?? '';
  }

  get grpcPort(): number {
    return Number(this.#grpc?.address.split(':').at(-1));
  }

  get httpPort(): number {
    return Number(new URL(this.#http?.url ?? '').port);
  }

  /** Opens the listeners: reads are answered from now on. */
  async listen(): Promise<void> {
    const { nats, natsToken, token, store } = this.#foundation;
    const [config, log, office] = [this.#config, this.#log, this.#office];
    await this.#surroundings.start();
    const access = tokenAccess(token);
    this.#http = await startHttpServer({
      host: config.listen,
      port: config.httpPort,
      store,
      access,
      log,
      health: () => {
        const { state } = office.standing;
        return { healthy: state === 'ok', journal: state, duty: office.duty.state };
      },
    });
    this.#grpc = await startGrpcServer({
      host: config.listen,
      port: config.grpcPort,
      protoDirectory: join(PACKAGE_ROOT, 'proto'),
      services: servicesOf({
        config,
        natsToken,
        access,
        log,
        nats,
        store,
        office,
        readModel: this.#readModel,
        hub: this.#hub,
        streams: this.#streams,
        surroundings: this.#surroundings,
        blobUrl: () => this.#address().http,
        grpcAddress: () => this.#address().grpc,
      }),
    });
    subscribeProgress(nats, office.farm, this.#hub, log);
    log.info({ grpc: this.#grpc.address, http: this.#http.url }, 'listening');
  }

  /** Stands by until it is this one's turn, then leads to the end. */
  async serve(): Promise<Ending> {
    try {
      return await this.#serve();
    } catch (error) {
      // What was under way when it was closed.
      if (this.#closing.signal.aborted) return { state: 'closed' };
      throw error;
    }
  }

  async #serve(): Promise<Ending> {
    const { nats } = this.#foundation;
    const [clock, log] = [systemClock, this.#log];
    const { replicas } = this.#config;
    const key = new LeaderKey({ nats, clock, log, replicas, address: this.#address() });
    this.#key = key;
    const closed = this.#whenClosing();
    for (let following: Promise<unknown> | undefined; ;) {
      const turn = await key.tryTurn();
      if (this.#closing.signal.aborted) return { state: 'closed' };
      if (turn.state === 'ours') {
        await this.#follower.stop();
        following = undefined;
        const ending = await this.#standForElection(key);
        if (ending !== 'defeated') return ending;
        await Promise.race([closed, pause(AFTER_DEFEAT_MS)]);
        continue;
      }
      await this.#standBy(turn.state === 'taken' ? turn.leader : undefined);
      following ??= this.#follower.start();
      const end = await Promise.race([closed, following, pause(POLL_MS)]);
      if (end === 'cut') return { state: 'cut-off' };
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#closing.abort();
    this.#reign?.stop();
    // A standby need not wait until everybody here has hung up.
    const released = this.#key?.release();
    this.#surroundings.stop();
    await this.#follower.stop();
    await this.#grpc?.close(CLOSE_GRACE_MS);
    await this.#http?.close(CLOSE_GRACE_MS);
    await this.#foundation.journal.close();
    await released;
    await this.#foundation.nats.close();
  }

  async #standBy(leader: LeaderAddress | undefined): Promise<void> {
    const { duty } = this.#office;
    const before = duty.state === 'standby' ? duty.leader : undefined;
    this.#office.standBy(leader);
    if (leader !== undefined && leader.grpc !== before?.grpc) {
      this.#log.info({ leader: leader.grpc }, 'standing by');
      this.#peers = [leader.grpc];
      await this.#writeFarmFile();
    }
    this.#takeUpDuty();
  }

  /** Reads to the end of the journal and appends the next epoch right behind it. */
  async #standForElection(key: LeaderKey): Promise<Ending | 'defeated'> {
    const { journal } = this.#foundation;
    const caughtUp = await this.#catchUp();
    if (caughtUp === 'cut') return { state: 'cut-off' };
    if (caughtUp === 'unreachable') {
      await key.release();
      return 'defeated';
    }
    const election = await journal.startEpoch();
    if (election.state === 'superseded') {
      this.#log.info({ reason: election.message }, 'another coordinator was faster');
      await key.release();
      return 'defeated';
    }
    this.#take(election.commit);
    return this.#lead(key);
  }

  async #catchUp(): Promise<'whole' | 'cut' | 'unreachable'> {
    const { journal } = this.#foundation;
    const { tail } = journal;
    try {
      if ((await journal.bounds()).first > tail.sequence + 1) return 'cut';
      await journal.replay((commit) => this.#take(commit), tail);
      return 'whole';
    } catch (error) {
      // What NATS throws passes; what is wrong with the journal does not.
      if (error instanceof FurrowError && !error.retryable) throw error;
      this.#log.warn({ error: messageOf(error) }, 'cannot read the journal to its end, trying on');
      return 'unreachable';
    }
  }

  async #lead(key: LeaderKey): Promise<Ending> {
    const { nats, journal, snapshots, store, loaded } = this.#foundation;
    const { farm } = loaded;
    store.beginReign();
    const deposed = new Promise<Ending>((resolve) => {
      this.#reign = beginReign({
        config: this.#config,
        log: this.#log,
        nats,
        journal,
        snapshots,
        store,
        farm,
        liveness: this.#office.liveness,
        streams: this.#streams,
        commitsSince: this.#commitsSince,
        publish: (commit) => this.#publish(commit),
        superseded: (reason) => resolve({ state: 'deposed', reason }),
      });
    });
    const { loop } = this.#reign!;
    this.#office.lead(loop);
    key.hold(() => loop.proveLead());
    await this.#writeFarmFile();
    this.#takeUpDuty();
    const { epoch, farmId, jobs } = farm;
    this.#log.info(
      { farm: farmId, epoch, jobs: jobs.size, commits: this.#commitsSince },
      'leading',
    );
    const closed = this.#whenClosing().then((): Ending => ({ state: 'closed' }));
    return Promise.race([deposed, closed]);
  }

  /** A commit of the journal: applied, then shown. FurrowError: internal FOLD_FAILED. */
  #take(commit: CommitRecord): void {
    const { farm } = this.#foundation.loaded;
    const touched = new Set<number>();
    try {
      for (const fact of commit.facts) {
        apply(farm, fact);
        if ('job' in fact) touched.add(fact.job);
        if (fact.type === 'SnapshotTaken') this.#commitsSince = 0;
      }
    } catch (error) {
      // Passed over by nobody: the fold would be another farm.
      const message = `commit ${commit.number} cannot be applied: ${messageOf(error)}`;
      throw new FurrowError('internal', 'FOLD_FAILED', message, { cause: error });
    }
    this.#commitsSince += 1;
    const views = [...touched].flatMap((number) => {
      const job = farm.jobs.get(number);
      return job === undefined ? [] : [viewOfJob(job)];
    });
    const { number, sequence, atMs, facts } = commit;
    this.#publish({ number, sequence, atMs, facts, views });
  }

  #publish(commit: Committed): void {
    this.#readModel.publish(commit);
    this.#hub.publish(commit);
  }

  #address(): LeaderAddress {
    const [grpc, http] = [this.#grpc?.address ?? '', this.#http?.url ?? ''];
    const { advertise } = this.#config;
    if (advertise === undefined) return { grpc, http };
    return { grpc: `${advertise}:${this.grpcPort}`, http: `http://${advertise}:${this.httpPort}` };
  }

  #writeFarmFile(): Promise<void> {
    return writeFarmFile(this.#config.home.farmFile, {
      grpc: this.#grpc?.address ?? '',
      http: this.#http?.url ?? '',
      nats: [...this.#config.nats],
      pid: process.pid,
      peers: [...this.#peers],
    });
  }

  #whenClosing(): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => void systemClock.after(delayMs, resolve));
}

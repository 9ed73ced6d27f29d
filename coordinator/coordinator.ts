/**
 * One coordinator, put together: the journal is loaded, the listeners open, and from then on it either
 * stands by and follows another's reign, or leads.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Events, type NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import { announceFarm } from '../kit/farm-discovery.ts';
import { fingerprintOf, type ServerIdentity } from '../kit/farm-ca.ts';
import { type FurrowError, messageOf } from '../kit/furrow-error.ts';
import { writeFarmFile } from '../kit/furrow-home.ts';
import type { Logger } from '../kit/log.ts';
import { connectNats } from '../kit/nats-connection.ts';
import { formatFarmUrl } from '../kit/farm-url.ts';
import { ensureToken } from '../kit/token-file.ts';
import { PACKAGE_ROOT } from '../kit/version.ts';
import { farmAccess } from './access.ts';
import { BlobAccess } from './blob-access.ts';
import { FileLists } from './file-lists.ts';
import { openBlobStore } from './blobs/open-blob-store.ts';
import { type Ending, serve } from './candidate.ts';
import type { CommandLoop } from './command-loop.ts';
import { CommitFold } from './commit-fold.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Fact } from './domain/facts.ts';
import type { Sighting } from './domain/lineage.ts';
import { newLiveness } from './domain/liveness.ts';
import type { StallStep } from './domain/stall-watch.ts';
import { AgentStreams, sendOrder } from './grpc/agent-service.ts';
import { type GrpcServer, startGrpcServer } from './grpc/server.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { isOverHere, type LeaderAddress, LeaderKey, thisCoordinator } from './journal/election.ts';
import { Follower } from './journal/follower.ts';
import { type JetStreamJournal, openJournal } from './journal/jetstream-journal.ts';
import { hearAppends } from './journal/journal-stream.ts';
import { leaderBucket } from './journal/leader-bucket.ts';
import { type LoadedFarm, loadFarm } from './journal/load-farm.ts';
import { JetStreamArchive } from './journal/archive-store.ts';
import { natsTrouble } from './journal/nats-trouble.ts';
import { SnapshotStore } from './journal/snapshot-store.ts';
import { JobArchive } from './job-archive.ts';
import { KnownJobs } from './known-jobs.ts';
import { NetworkLimits } from './limits/network-limits.ts';
import { Office } from './office.ts';
import { mostOpenFiles } from './open-files.ts';
import type { BlobStore, Committed } from './ports.ts';
import { ReadModel } from './read-model.ts';
import { beginReign, type Reign } from './reign.ts';
import { servicesOf } from './services.ts';
import { logStallStep } from './stall-log.ts';
import { type Identity, serverIdentity, watchServerIdentity } from './server-identity.ts';
import { SurroundingsWatch } from './surroundings.ts';
import { TokenUses } from './token-uses.ts';
import { WatchHub } from './watch-hub.ts';
import { type NatsAccess, openNatsAccess } from './work/nats-access.ts';
import { storeInputList } from './work/input-lists.ts';
import { NatsWorkPlane, subscribeProgress } from './work/nats-work-plane.ts';
import { ensureLogStream } from './work/unit-logs.ts';

const CLOSE_GRACE_MS = 2_000;
const TELL_AGAIN_MS = 5_000;

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
  readonly natsAccess: NatsAccess;
  readonly token: string;
  readonly identity: Identity;
  readonly store: BlobStore;
  readonly journal: JetStreamJournal;
  readonly snapshots: SnapshotStore;
  readonly archiveStore: JetStreamArchive;
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
  await mkdir(config.home.coordinatorDir, { recursive: true, mode: 0o700 });
  const identity = await serverIdentity(config);
  const natsAccess = await openNatsAccess(config, token, log);
  const store = await openBlobStore(config, log);
  const nats = await connectNats({
    servers: config.nats,
    auth: natsAccess.auth,
    trust: natsAccess.trust,
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
    const archiveStore = await JetStreamArchive.open(nats, config.replicas);
    const loaded = await loadFarm(journal, snapshots, log);
    await journal.vouch(loaded.farm);
    return { nats, natsAccess, token, identity, store, journal, snapshots, archiveStore, loaded };
  } catch (error) {
    await nats.close();
    throw natsTrouble(error);
  }
}

class Coordinator {
  /** Settles once it leads or stands by for the first time. */
  readonly onDuty: Promise<void>;
  readonly #config: CoordinatorConfig;
  readonly #log: Logger;
  readonly #foundation: Foundation;
  readonly #readModel: ReadModel;
  readonly #archive: JobArchive;
  readonly #known: KnownJobs;
  readonly #hub = new WatchHub(() => this.#office.trouble);
  readonly #lists: FileLists;
  readonly #blobAccess: BlobAccess;
  readonly #streams = new AgentStreams();
  readonly #uses = new TokenUses();
  readonly #follower: Follower;
  readonly #office: Office;
  readonly #surroundings: SurroundingsWatch;
  readonly #closing = new AbortController();
  readonly #fold: CommitFold;
  #grpc: GrpcServer | undefined;
  #http: HttpServer | undefined;
  #limits: NetworkLimits | undefined;
  #key: LeaderKey | undefined;
  /** Undefined while it is not announced. */
  #endAnnouncing: (() => Promise<void>) | undefined;
  #tellAgain: NodeJS.Timeout | undefined;
  #endIdentityWatch: () => void = () => {};
  #reign: Reign | undefined;
  /** HOST:PORT of the one that led before. */
  #peers: readonly string[] = [];
  #closed: Promise<void> | undefined;
  #takeUpDuty: () => void = () => {};
  /** Settled by what makes going on impossible: the store is not the one that was led. */
  readonly #lost: Promise<never>;
  #lose: (error: FurrowError) => void = () => {};

  constructor(config: CoordinatorConfig, log: Logger, foundation: Foundation) {
    this.onDuty = new Promise((resolve) => (this.#takeUpDuty = resolve));
    this.#lost = new Promise((_, reject) => (this.#lose = reject));
    this.#lost.catch(() => {});
    this.#config = config;
    this.#log = log;
    this.#foundation = foundation;
    const { nats, journal, store, loaded } = foundation;
    this.#readModel = new ReadModel(loaded.farm, journal.tail.sequence);
    this.#archive = new JobArchive(foundation.archiveStore, log);
    this.#known = new KnownJobs(loaded.farm, this.#readModel, this.#archive);
    this.#lists = new FileLists(store);
    this.#blobAccess = new BlobAccess({
      lists: this.#lists,
      farm: loaded.farm,
      job: (number) => this.#known.job(number),
      monotonicMs: () => systemClock.monotonicMs(),
    });
    const publish = (commit: Committed): void => this.#publish(commit);
    this.#fold = new CommitFold(loaded.farm, loaded.commits, publish);
    this.#follower = new Follower({
      journal,
      hearAppends: (wake) => hearAppends(nats, wake),
      clock: systemClock,
      log,
      onCommit: (commit) => this.#fold.take(commit),
    });
    const liveness = newLiveness(config.leaseTtlMs, config.maxUnits);
    this.#office = new Office({
      farm: loaded.farm,
      liveness,
      follower: this.#follower,
      monotonicMs: () => systemClock.monotonicMs(),
      lastSequence: () => journal.tail.sequence,
      missing: (seen, seenBy) => void this.#miss(seen, seenBy),
    });
    const monitorUrls = config.natsMonitor ?? [];
    this.#surroundings = new SurroundingsWatch({ nats, store, log, monitorUrls });
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
    const { nats, natsAccess, token, store, identity } = this.#foundation;
    const [config, log, office] = [this.#config, this.#log, this.#office];
    await this.#surroundings.start();
    const limits = new NetworkLimits({ ...config, mostOpenFiles: await mostOpenFiles() }, log);
    this.#limits = limits;
    const access = farmAccess({
      farmToken: token,
      farm: office.farm,
      wallMs: () => systemClock.wallMs(),
      used: (id, atMs) => this.#uses.note(id, atMs),
    });
    this.#uses.start((command) => office.submit(command));
    this.#http = await startHttpServer({
      host: config.listen,
      port: config.httpPort,
      identity: identity.server,
      blobAccess: this.#blobAccess,
      store,
      access,
      limits,
      log,
      mustLead: () => office.mustLead(),
      health: () => {
        const { state } = office.standing;
        return { healthy: state === 'ok', journal: state, duty: office.duty.state };
      },
    });
    this.#grpc = await startGrpcServer({
      host: config.listen,
      port: config.grpcPort,
      identity: identity.server,
      access,
      limits,
      protoDirectory: join(PACKAGE_ROOT, 'proto'),
      services: servicesOf({
        config,
        natsAccess,
        lists: this.#lists,
        blobAccess: this.#blobAccess,
        uses: this.#uses,
        urlWith: (secret) => this.#urlWith(secret),
        addresses: () => this.#addresses(),
        access,
        log,
        nats,
        store,
        office,
        readModel: this.#readModel,
        known: this.#known,
        hub: this.#hub,
        streams: this.#streams,
        surroundings: this.#surroundings,
        blobUrl: () => this.#address().http,
        grpcAddress: () => this.#address().grpc,
      }),
    });
    void this.#hearOfNats();
    this.#watchIdentity(identity.server);
    subscribeProgress(nats, office.farm, this.#hub, log);
    log.info({ grpc: this.#grpc.address, http: this.#http.url }, 'listening');
  }

  #watchIdentity(server: ServerIdentity | undefined): void {
    if (server === undefined) return;
    this.#endIdentityWatch = watchServerIdentity(this.#config, server, this.#log, (renewed) => {
      this.#grpc?.renew(renewed);
      this.#http?.renew(renewed);
    });
  }

  /** Whether it leads or stands by: agents take the addresses of all of a farm's coordinators. */
  #announce(): void {
    const { mdnsPort: port, mdnsInterface } = this.#config;
    const log = this.#log;
    const { grpc: address } = this.#address();
    if (/^(0\.0\.0\.0|\[?::\]?):/.test(address)) {
      log.warn({ address }, 'not announced: say with --advertise HOST how others reach it');
      return;
    }
    const { token } = this.#foundation;
    const { farmId } = this.#office.farm;
    const network = { port, interface: mdnsInterface };
    this.#endAnnouncing = announceFarm(
      { farmId, address, caSha256: this.#caSha256 ?? '' },
      token,
      network,
      (message) => log.debug({ message }, 'trouble with mDNS'),
    );
    log.info({ address }, 'announced on the network');
  }

  /** Stands by until it is this one's turn, then leads to the end. */
  serve(): Promise<Ending> {
    const { nats, journal } = this.#foundation;
    const log = this.#log;
    const key = new LeaderKey({
      store: leaderBucket(nats, this.#config.replicas),
      clock: systemClock,
      log,
      own: thisCoordinator(this.#address()),
      isOver: isOverHere,
    });
    this.#key = key;
    const served = serve({
      key,
      journal,
      follower: this.#follower,
      fold: this.#fold,
      office: this.#office,
      clock: systemClock,
      log,
      closing: this.#closing.signal,
      beginReign: (deposed) => this.#beginReign(deposed),
      onDuty: (leader) => this.#onDuty(leader),
    });
    return Promise.race([served, this.#lost]);
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
    this.#endIdentityWatch();
    this.#uses.stop();
    clearTimeout(this.#tellAgain);
    await this.#endAnnouncing?.();
    await this.#follower.stop();
    await this.#grpc?.close(CLOSE_GRACE_MS);
    await this.#http?.close(CLOSE_GRACE_MS);
    this.#limits?.close();
    await this.#foundation.journal.close();
    await released;
    await this.#foundation.nats.close();
  }

  async #onDuty(leader: LeaderAddress | undefined): Promise<void> {
    const isOther = leader !== undefined && leader.grpc !== this.#peers[0];
    if (isOther) {
      this.#log.info({ leader: leader.grpc }, 'standing by');
      this.#peers = [leader.grpc];
    }
    if (isOther || this.#office.duty.state === 'leading') await this.#writeFarmFile();
    // A farm has its id only once somebody has led it.
    if (this.#config.announce && this.#endAnnouncing === undefined) this.#announce();
    this.#takeUpDuty();
    this.#tellNats();
  }

  #beginReign(deposed: (reason: string) => void): CommandLoop {
    const { nats, journal, snapshots, archiveStore, store, loaded } = this.#foundation;
    const { farm } = loaded;
    const { leaseTtlMs, takeoverGraceMs, snapshotCommits, outputRetentionMs } = this.#config;
    const { jobRetentionMs, maxEndedJobs } = this.#config;
    const log = this.#log;
    const { grpc: grpcAddress } = this.#address();
    this.#reign = beginReign({
      clock: systemClock,
      log,
      journal,
      snapshots,
      store,
      lists: this.#lists,
      archiveStore,
      archive: this.#archive,
      retention: { jobMs: jobRetentionMs, mostEnded: maxEndedJobs },
      outputRetentionMs,
      farm,
      liveness: this.#office.liveness,
      takeoverGraceMs,
      snapshotCommits,
      commitsSince: this.#fold.commitsSince,
      openWorkPlane: (loop, findMissing) =>
        new NatsWorkPlane({
          nats,
          log,
          farm,
          loop,
          grpcAddress,
          findMissing,
          hear: this.#hear,
          storeList: async (files, agentId) => {
            const list = await storeInputList(store, files);
            this.#blobAccess.noteList(list.sha256, agentId);
            return list;
          },
        }),
      stop: ({ agentId, tokens: stop }) =>
        sendOrder(this.#streams, { farm, leaseTtlMs }, { stop, retract: [] }, agentId),
      retract: ({ agentId, tokens: retract }) =>
        sendOrder(this.#streams, { farm, leaseTtlMs }, { stop: [], retract }, agentId),
      stalled: (step) => this.#stalled(step),
      publish: (commit) => this.#publish(commit),
      superseded: deposed,
    });
    this.#grpc?.lead();

    return this.#reign.loop;
  }

  readonly #hear = (seen: Sighting | undefined, seenBy: string): Promise<void> =>
    this.#office.hear(seen, seenBy);

  /** What an agent has seen is in no commit: nothing more is decided on such a store. */
  async #miss(seen: Sighting, seenBy: string): Promise<void> {
    const { journal, loaded } = this.#foundation;
    this.#reign?.loop.stop();
    this.#lose(await journal.miss(loaded.farm, seen, seenBy));
  }

  #stalled(step: StallStep): void {
    logStallStep(this.#log, step);
    if (step.state !== 'ask-agents') return;
    // They come back at once, enrol, and say all that they have and hold.
    for (const agentId of step.stall.agentIds) this.#streams.hangUp(agentId);
  }

  #publish(commit: Committed): void {
    this.#shutOut(commit.facts);
    this.#readModel.publish(commit);
    this.#hub.publish(commit);
  }

  /** This one's first. */
  #addresses(): readonly string[] {
    return [...new Set([this.#address().grpc, ...this.#peers])];
  }

  #urlWith(token: string): string {
    return formatFarmUrl({ address: this.#addresses().join(','), caSha256: this.#caSha256, token });
  }

  /** Undefined where clients believe what their systems do. */
  get #caSha256(): string | undefined {
    const { trust } = this.#foundation.identity;
    const ca = trust.state === 'tls' ? trust.ca : undefined;
    return ca === undefined ? undefined : fingerprintOf(ca);
  }

  /** Whoever was shut out is cut off, here and from NATS. */
  #shutOut(facts: readonly Fact[]): void {
    const revoked = facts.filter((fact) => fact.type === 'AgentRevoked');
    for (const { agentId } of revoked) this.#streams.hangUp(agentId);
    const isNews = revoked.length > 0 || facts.some(({ type }) => type === 'AgentJoined');
    if (isNews) this.#tellNats();
  }

  async #hearOfNats(): Promise<void> {
    for await (const { type } of this.#foundation.nats.status()) {
      if (type === Events.Reconnect) this.#tellNats();
    }
  }

  /** By the leader, and again whenever NATS was away: it may know of nobody. */
  #tellNats(): void {
    const { farm, duty } = this.#office;
    if (duty.state !== 'leading' || farm.shutOutKeys.size === 0) return;
    clearTimeout(this.#tellAgain);
    const { natsAccess } = this.#foundation;
    natsAccess.shutOut(farm.shutOutKeys).catch((error: unknown) => {
      this.#log.error({ error: messageOf(error) }, 'cannot tell NATS who is shut out, trying on');
      this.#tellAgain = setTimeout(() => this.#tellNats(), TELL_AGAIN_MS);
    });
  }

  #address(): LeaderAddress {
    const [grpc, http] = [this.#grpc?.address ?? '', this.#http?.url ?? ''];
    const { advertise } = this.#config;
    if (advertise === undefined) return { grpc, http };
    const { protocol } = new URL(http);
    const [grpcAt, httpAt] = [`${advertise}:${this.grpcPort}`, `${advertise}:${this.httpPort}`];
    return { grpc: grpcAt, http: `${protocol}//${httpAt}` };
  }

  #writeFarmFile(): Promise<void> {
    return writeFarmFile(this.#config.home.farmFile, {
      grpc: this.#grpc?.address ?? '',
      http: this.#http?.url ?? '',
      nats: [...this.#config.nats],
      pid: process.pid,
      peers: [...this.#peers],
      trust: this.#foundation.identity.trust,
    });
  }
}

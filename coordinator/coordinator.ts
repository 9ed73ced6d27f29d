/**
 * One coordinator, put together: the journal is loaded, the listeners open, and from then on it either
 * stands by and follows another's reign, or leads.
 */
import { join } from 'node:path';
import { systemClock } from '../kit/clock.ts';
import type { ServerIdentity } from '../kit/farm-ca.ts';
import type { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { mostOpenFiles } from '../kit/open-files.ts';
import { PACKAGE_ROOT } from '../kit/version.ts';
import { farmAccess } from './access.ts';
import { BlobAccess } from './blob-access.ts';
import { FileLists } from './file-lists.ts';
import { type Ending, serve } from './candidate.ts';
import type { CommandLoop } from './command-loop.ts';
import { CommitFold } from './commit-fold.ts';
import type { CoordinatorConfig } from './config.ts';
import type { Sighting } from './domain/lineage.ts';
import { newLiveness } from './domain/liveness.ts';
import type { StallStep } from './domain/stall-watch.ts';
import { type Foundation, layFoundation } from './foundation.ts';
import { AgentStreams, sendOrder } from './grpc/agent-service.ts';
import { type GrpcServer, startGrpcServer } from './grpc/server.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { isOverHere, type LeaderAddress, LeaderKey, thisCoordinator } from './journal/election.ts';
import { Follower } from './journal/follower.ts';
import { hearAppends } from './journal/journal-stream.ts';
import { leaderBucket } from './journal/leader-bucket.ts';
import { JobArchive } from './job-archive.ts';
import { KnownJobs } from './known-jobs.ts';
import { NetworkLimits } from './limits/network-limits.ts';
import { SeldomLooks } from './limits/seldom-looks.ts';
import { Office } from './office.ts';
import type { Committed } from './ports.ts';
import { ReadModel } from './read-model.ts';
import { beginReign, type Reign } from './reign.ts';
import { servicesOf } from './services.ts';
import { logStallStep } from './stall-log.ts';
import { watchServerIdentity } from './server-identity.ts';
import { ShutOut } from './shut-out.ts';
import { SurroundingsWatch } from './surroundings.ts';
import { TokenUses } from './token-uses.ts';
import { WatchHub } from './watch-hub.ts';
import { Whereabouts } from './whereabouts.ts';
import { storeInputList } from './work/input-lists.ts';
import { NatsWorkPlane, subscribeProgress } from './work/nats-work-plane.ts';

const CLOSE_GRACE_MS = 2_000;

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
    const { listening, grpcPort, httpPort } = coordinator.whereabouts;
    const grpcAddress = listening.grpc;
    return { grpcAddress, grpcPort, httpPort, ended, close: () => coordinator.close() };
  } catch (error) {
    await coordinator.close();
    throw error;
  }
}

class Coordinator {
  /** Settles once it leads or stands by for the first time. */
  readonly onDuty: Promise<void>;
  readonly whereabouts: Whereabouts;
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
  readonly #shutOut: ShutOut;
  readonly #closing = new AbortController();
  readonly #fold: CommitFold;
  #grpc: GrpcServer | undefined;
  #http: HttpServer | undefined;
  #limits: NetworkLimits | undefined;
  #key: LeaderKey | undefined;
  #endIdentityWatch: () => void = () => {};
  #reign: Reign | undefined;
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
    const { nats, natsAccess, token, identity, journal, store, loaded } = foundation;
    this.whereabouts = new Whereabouts({ config, token, identity, log });
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
    const [office, streams] = [this.#office, this.#streams];
    this.#shutOut = new ShutOut({ nats, natsAccess, office, streams, log });
  }

  /** Opens the listeners: reads are answered from now on. */
  async listen(): Promise<void> {
    const { nats, natsAccess, token, store, identity } = this.#foundation;
    const [config, log, office] = [this.#config, this.#log, this.#office];
    await this.#surroundings.start();
    const limits = new NetworkLimits({ ...config, mostOpenFiles: await mostOpenFiles() }, log);
    this.#limits = limits;
    const looks = new SeldomLooks(systemClock, () => office.reachEnd());
    const access = farmAccess({
      farmToken: token,
      farm: office.farm,
      wallMs: () => systemClock.wallMs(),
      reachEnd: () => looks.look(),
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
        urlWith: (secret) => this.whereabouts.urlWith(secret),
        addresses: () => this.whereabouts.addresses(),
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
        blobUrl: () => this.whereabouts.own.http,
        grpcAddress: () => this.whereabouts.own.grpc,
      }),
    });
    this.whereabouts.opened({ grpc: this.#grpc.address, http: this.#http.url });
    this.#shutOut.start();
    this.#watchIdentity(identity.server);
    subscribeProgress(nats, office.farm, this.#hub, log);
    log.info(this.whereabouts.listening, 'listening');
  }

  #watchIdentity(server: ServerIdentity | undefined): void {
    if (server === undefined) return;
    this.#endIdentityWatch = watchServerIdentity(this.#config, server, this.#log, (renewed) => {
      this.#grpc?.renew(renewed);
      this.#http?.renew(renewed);
    });
  }

  /** Stands by until it is this one's turn, then leads to the end. */
  serve(): Promise<Ending> {
    const { nats, journal } = this.#foundation;
    const log = this.#log;
    const key = new LeaderKey({
      store: leaderBucket(nats, this.#config.replicas),
      clock: systemClock,
      log,
      own: thisCoordinator(this.whereabouts.own),
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
    this.#shutOut.stop();
    await this.whereabouts.endAnnouncing();
    await this.#follower.stop();
    await this.#grpc?.close(CLOSE_GRACE_MS);
    await this.#http?.close(CLOSE_GRACE_MS);
    this.#limits?.close();
    await this.#foundation.journal.close();
    await released;
    await this.#foundation.nats.close();
  }

  async #onDuty(leader: LeaderAddress | undefined): Promise<void> {
    const isOther = leader !== undefined && this.whereabouts.heardOfLeader(leader);
    const { duty, farm } = this.#office;
    if (isOther || duty.state === 'leading') await this.whereabouts.writeFarmFile();
    // A farm has its id only once somebody has led it.
    this.whereabouts.announce(farm.farmId);
    this.#takeUpDuty();
    this.#shutOut.tellNats();
  }

  #beginReign(deposed: (reason: string) => void): CommandLoop {
    const { nats, journal, snapshots, archiveStore, store, loaded } = this.#foundation;
    const { farm } = loaded;
    const { leaseTtlMs, takeoverGraceMs, snapshotCommits, outputRetentionMs } = this.#config;
    const { jobRetentionMs, maxEndedJobs } = this.#config;
    const log = this.#log;
    const { grpc: grpcAddress } = this.whereabouts.own;
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
    this.#shutOut.note(commit.facts);
    this.#readModel.publish(commit);
    this.#hub.publish(commit);
  }
}

/**
 * One coordinator, put together: journal replayed, epoch started, then the command loop with its
 * listeners. The order matters: nobody is answered before the epoch is ours.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { JetStreamManager, NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { writeFarmFile } from '../kit/furrow-home.ts';
import type { Logger } from '../kit/log.ts';
import { connectNats } from '../kit/nats-connection.ts';
import { ensureToken, readToken } from '../kit/token-file.ts';
import { PACKAGE_ROOT, VERSION } from '../kit/version.ts';
import { AgentServiceService } from '../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceService } from '../proto/gen/furrow/v1/blob_service.ts';
import { FarmServiceService } from '../proto/gen/furrow/v1/farm_service.ts';
import { JobServiceService } from '../proto/gen/furrow/v1/job_service.ts';
import { tokenAccess } from './access.ts';
import { openBlobStore } from './blobs/open-blob-store.ts';
import { CommandLoop } from './command-loop.ts';
import { type CoordinatorConfig } from './config.ts';
import { apply } from './domain/apply.ts';
import type { Farm } from './domain/farm.ts';
import { beginTakeoverGrace, type Liveness, newLiveness } from './domain/liveness.ts';
import { AgentStreams, agentService, sendStop } from './grpc/agent-service.ts';
import { blobService } from './grpc/blob-service.ts';
import { farmService } from './grpc/farm-service.ts';
import { jobService } from './grpc/job-service.ts';
import { type GrpcServer, startGrpcServer } from './grpc/server.ts';
import { type HttpServer, startHttpServer } from './http/server.ts';
import { type Turn, waitForTurn } from './journal/election.ts';
import { readHistory } from './journal/history.ts';
import { type JetStreamJournal, openJournal } from './journal/jetstream-journal.ts';
import { loadFarm } from './journal/load-farm.ts';
import { SnapshotStore } from './journal/snapshot-store.ts';
import type { BlobStore, Committed, Effects } from './ports.ts';
import { ReadModel } from './read-model.ts';
import { Snapshots } from './snapshots.ts';
import { SurroundingsWatch } from './surroundings.ts';
import { Sweeper } from './sweeper.ts';
import { WatchHub } from './watch-hub.ts';
import { NatsWorkPlane } from './work/nats-work-plane.ts';
import { ensureLogStream, UnitLogs } from './work/unit-logs.ts';

const CLOSE_GRACE_MS = 2_000;

export interface RunningCoordinator {
  /** HOST:PORT of the gRPC server. */
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** Settles when it does not lead any more: why. */
  readonly deposed: Promise<string>;
  /** Ends listeners, then connections. What is committed stays committed. */
  close(): Promise<void>;
}

interface Lead {
  readonly nats: NatsConnection;
  readonly journal: JetStreamJournal;
  readonly snapshots: SnapshotStore;
  readonly turn: Turn;
  readonly farm: Farm;
  readonly sequence: number;
  /** Commits behind the newest snapshot. */
  readonly commits: number;
}

/** Undefined when `signal` ended the wait for the lead. Rejects with FurrowError. */
export async function startCoordinator(
  config: CoordinatorConfig,
  log: Logger,
  signal: AbortSignal,
): Promise<RunningCoordinator | undefined> {
  const token = await ensureToken(config.home.tokenFile);
  const natsToken =
    config.natsTokenFile === undefined ? token : await readToken(config.natsTokenFile);
  await mkdir(config.home.coordinatorDir, { recursive: true, mode: 0o700 });
  const store = await openBlobStore(config, log);
  const lead = await takeLead(config, natsToken, log, signal);
  if (lead === undefined) return undefined;
  return serveFarm(config, { token, natsToken }, store, lead, log);
}

async function takeLead(
  config: CoordinatorConfig,
  natsToken: string,
  log: Logger,
  signal: AbortSignal,
): Promise<Lead | undefined> {
  const nats = await connectNats({
    servers: config.nats,
    token: natsToken,
    name: 'furrow coordinator',
    onStatus: (status) => log.info({ nats: status.state }, 'nats connection'),
  });
  try {
    const turn = await waitForTurn({ nats, clock: systemClock, log, signal });
    if (turn === undefined) {
      await nats.close();
      return undefined;
    }
    const journal = await openJournal({
      nats,
      clock: systemClock,
      log,
      stream: { replicas: config.replicas, maxBytes: -1 },
      identityPath: join(config.home.coordinatorDir, 'identity.json'),
      acceptRestoredStore: config.acceptRestoredStore,
    });
    await ensureLogStream(await managerOf(nats), config.replicas);
    const snapshots = await SnapshotStore.open(nats, config.replicas);
    const { farm, commits, snapshotSequence } = await loadFarm(journal, snapshots, log);
    const election = await journal.startEpoch();
    if (election.state === 'superseded') {
      throw new FurrowError('conflict', 'NOT_ELECTED', election.message);
    }
    for (const fact of election.commit.facts) apply(farm, fact);
    log.info(
      {
        farm: farm.farmId,
        epoch: farm.epoch,
        snapshot: snapshotSequence,
        commits,
        jobs: farm.jobs.size,
      },
      'leading',
    );
    const { sequence } = election.commit;
    return { nats, journal, snapshots, turn, farm, sequence, commits };
  } catch (error) {
    await nats.close();
    throw error;
  }
}

function managerOf(nats: NatsConnection): Promise<JetStreamManager> {
  return nats.jetstreamManager({ checkAPI: false });
}

interface Secrets {
  readonly token: string;
  readonly natsToken: string;
}

/** What the listeners share. */
interface Core {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly loop: CommandLoop;
  readonly readModel: ReadModel;
  readonly hub: WatchHub;
  readonly streams: AgentStreams;
  readonly workPlane: NatsWorkPlane;
  readonly sweeper: Sweeper;
  readonly deposed: Promise<string>;
}

async function serveFarm(
  config: CoordinatorConfig,
  secrets: Secrets,
  store: BlobStore,
  lead: Lead,
  log: Logger,
): Promise<RunningCoordinator> {
  const { nats, journal, turn, farm } = lead;
  store.beginReign();
  const core = buildCore(config, store, lead, log);
  const { loop, liveness, workPlane, sweeper } = core;
  const surroundings = new SurroundingsWatch({
    nats,
    store,
    monitorUrls: config.natsMonitor ?? [],
  });
  await surroundings.start();
  const access = tokenAccess(secrets.token);
  let http: HttpServer | undefined;
  let grpc: GrpcServer | undefined;
  const close = async (): Promise<void> => {
    loop.stop();
    workPlane.stop();
    sweeper.stop();
    surroundings.stop();
    await grpc?.close(CLOSE_GRACE_MS);
    await http?.close(CLOSE_GRACE_MS);
    await journal.close();
    await turn.release();
    await nats.close();
  };
  try {
    http = await startHttpServer({
      host: config.listen,
      port: config.httpPort,
      store,
      access,
      log,
      health: () => ({ healthy: loop.standing.state === 'ok', journal: loop.standing.state }),
    });
    const blobUrl = advertised(config, http.url);
    grpc = await startGrpcServer({
      host: config.listen,
      port: config.grpcPort,
      protoDirectory: join(PACKAGE_ROOT, 'proto'),
      services: servicesOf(config, secrets, store, core, nats, access, surroundings, blobUrl, log),
    });
    workPlane.start();
    sweeper.start();
    beginTakeoverGrace(liveness, farm, systemClock.monotonicMs(), config.takeoverGraceMs);
    await writeFarmFile(config.home.farmFile, {
      grpc: grpc.address,
      http: http.url,
      nats: [...config.nats],
      pid: process.pid,
    });
    log.info({ grpc: grpc.address, http: http.url }, 'listening');
    return { grpcAddress: grpc.address, httpUrl: http.url, deposed: core.deposed, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function buildCore(config: CoordinatorConfig, store: BlobStore, lead: Lead, log: Logger): Core {
  const { nats, journal, farm } = lead;
  const liveness = newLiveness(config.leaseTtlMs);
  const readModel = new ReadModel(farm, lead.sequence);
  const hub = new WatchHub();
  const streams = new AgentStreams();
  let depose: (message: string) => void = () => {};
  const deposed = new Promise<string>((resolve) => (depose = resolve));
  const effects: Effects = {
    grant: (order) => void workPlane.grant(order),
    stop: (order) => sendStop(streams, { farm, leaseTtlMs: config.leaseTtlMs }, order),
    committed: (commit: Committed) => {
      readModel.publish(commit);
      hub.publish(commit);
      sweeper.committed(commit);
      snapshots.committed();
    },
    superseded: (message) => depose(message),
  };
  const loop = new CommandLoop({ farm, liveness, journal, clock: systemClock, effects });
  const snapshots = new Snapshots(
    { farm, loop, journal, store: lead.snapshots, log, everyCommits: config.snapshotCommits },
    lead.commits,
  );
  const sweeper = new Sweeper(loop, store, systemClock, log);
  const workPlane = new NatsWorkPlane({
    nats,
    log,
    farm,
    loop,
    hub,
    findMissing: (hashes) => {
      sweeper.note(hashes);
      return store.lookForMissing(hashes);
    },
  });
  return { farm, liveness, loop, readModel, hub, streams, workPlane, sweeper, deposed };
}

function servicesOf(
  config: CoordinatorConfig,
  secrets: Secrets,
  store: BlobStore,
  core: Core,
  nats: NatsConnection,
  access: ReturnType<typeof tokenAccess>,
  surroundings: SurroundingsWatch,
  blobUrl: string,
  log: Logger,
): Parameters<typeof startGrpcServer>[0]['services'] {
  const gate = { access, log };
  const { farm, liveness, loop, readModel, hub, streams } = core;
  const ageMs = (): number => {
    const { standing } = loop;
    return standing.state === 'in-doubt'
      ? Math.round(systemClock.monotonicMs() - standing.sinceMs)
      : 0;
  };
  const jobs = jobService({
    gate,
    farm,
    loop,
    readModel,
    hub,
    readHistory: (after, last) => readHistory(nats, after, last),
    findMissing: (hashes) => store.findMissing(hashes),
    ageMs,
    logs: new UnitLogs(nats),
  });
  const agents = agentService(
    {
      gate,
      loop,
      farm,
      leaseTtlMs: config.leaseTtlMs,
      heartbeatMs: config.heartbeatMs,
      natsUrls: config.nats,
      natsToken: secrets.natsToken,
      blobUrl: () => blobUrl,
    },
    streams,
  );
  const farmInfo = farmService({
    gate,
    loop,
    farm,
    liveness,
    readModel,
    streams,
    clock: systemClock,
    version: VERSION,
    surroundings: () => surroundings.now(),
    blobUrl: () => blobUrl,
  });
  return [
    { definition: JobServiceService, implementation: jobs },
    { definition: AgentServiceService, implementation: agents },
    { definition: FarmServiceService, implementation: farmInfo },
    { definition: BlobServiceService, implementation: blobService(store, gate) },
  ];
}

/** The address that agents reach this one by. */
function advertised(config: CoordinatorConfig, url: string): string {
  if (config.advertise === undefined) return url;
  const { port } = new URL(url);
  return `http://${config.advertise}:${port}`;
}

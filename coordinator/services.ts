/** The gRPC services of one coordinator, whether it leads or stands by. */
import type { NatsConnection } from 'nats';
import { systemClock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import { VERSION } from '../kit/version.ts';
import {
  type AdvertiseResponse,
  AgentServiceService,
} from '../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceService } from '../proto/gen/furrow/v1/blob_service.ts';
import { FarmServiceService } from '../proto/gen/furrow/v1/farm_service.ts';
import { JobServiceService } from '../proto/gen/furrow/v1/job_service.ts';
import { ModelServiceService } from '../proto/gen/furrow/v1/model_service.ts';
import type { Access } from './access.ts';
import type { BlobAccess } from './blob-access.ts';
import type { CoordinatorConfig } from './config.ts';
import type { FileLists } from './file-lists.ts';
import { type AgentStreams, agentService } from './grpc/agent-service.ts';
import { BeatAnswers } from './grpc/beat-answers.ts';
import { blobService } from './grpc/blob-service.ts';
import { farmService } from './grpc/farm-service.ts';
import { jobService } from './grpc/job-service.ts';
import { modelService } from './grpc/model-service.ts';
import type { GrpcServerOptions } from './grpc/server.ts';
import { readHistory } from './journal/history.ts';
import type { KnownJobs } from './known-jobs.ts';
import type { Office } from './office.ts';
import type { BlobStore } from './ports.ts';
import type { ReadModel } from './read-model.ts';
import type { SurroundingsWatch } from './surroundings.ts';
import type { WatchHub } from './watch-hub.ts';
import type { TokenUses } from './token-uses.ts';
import type { NatsAccess } from './work/nats-access.ts';
import { UnitLogs } from './work/unit-logs.ts';

export interface ServicesOptions {
  readonly config: CoordinatorConfig;
  readonly natsAccess: NatsAccess;
  readonly uses: TokenUses;
  /** The farm's URL with a token in it. */
  readonly urlWith: (token: string) => string;
  readonly addresses: () => readonly string[];
  readonly access: Access;
  readonly log: Logger;
  readonly nats: NatsConnection;
  readonly store: BlobStore;
  readonly lists: FileLists;
  readonly blobAccess: BlobAccess;
  readonly office: Office;
  readonly readModel: ReadModel;
  readonly known: KnownJobs;
  readonly hub: WatchHub;
  readonly streams: AgentStreams;
  readonly surroundings: SurroundingsWatch;
  readonly blobUrl: () => string;
  readonly grpcAddress: () => string;
}

export function servicesOf(options: ServicesOptions): GrpcServerOptions['services'] {
  const {
    config,
    natsAccess,
    addresses,
    access,
    log,
    nats,
    store,
    office,
    readModel,
    hub,
    streams,
  } = options;
  const { blobUrl, grpcAddress, surroundings } = options;
  const gate = { access, log };
  const jobs = jobService({
    gate,
    office,
    farm: office.farm,
    readModel,
    known: options.known,
    outputRetentionMs: config.outputRetentionMs,
    hub,
    clock: systemClock,
    readHistory: (after, last) => readHistory(nats, after, last),
    reachEnd: () => office.reachEnd(),
    findMissing: (hashes) => store.findMissing(hashes),
    lists: options.lists,
    logs: new UnitLogs(nats),
  });
  const agents = agentService(
    {
      gate,
      office,
      leaseTtlMs: config.leaseTtlMs,
      heartbeatMs: config.heartbeatMs,
      natsUrls: config.nats,
      natsAccess,
      addresses,
      blobUrl,
      policyOf: (agentId) => readModel.agent(agentId)?.policy,
    },
    streams,
  );
  const farmInfo = farmService({
    uses: options.uses,
    urlWith: options.urlWith,
    gate,
    office,
    readModel,
    archiveDamage: () => options.known.damage,
    streams,
    clock: systemClock,
    version: VERSION,
    surroundings: () => surroundings.now(),
    blobUrl,
    grpcAddress,
  });
  const findMissing = (hashes: readonly string[]): Promise<string[]> => store.findMissing(hashes);
  const models = modelService({ gate, office, findMissing });
  const blobs = blobService(store, gate, () => office.mustLead(), options.blobAccess);
  return [
    { definition: JobServiceService, implementation: jobs, isLeaders: true },
    { definition: agentDefinition(), implementation: agents, isLeaders: true },
    { definition: FarmServiceService, implementation: farmInfo, isLeaders: false },
    { definition: ModelServiceService, implementation: models, isLeaders: false },
    { definition: BlobServiceService, implementation: blobs, isLeaders: true },
  ];
}

/** Thousands of beats a second are answered. */
function agentDefinition(): typeof AgentServiceService {
  const answers = new BeatAnswers();
  const responseSerialize = (response: AdvertiseResponse): Buffer => answers.encode(response);
  const { advertise } = AgentServiceService;
  return { ...AgentServiceService, advertise: { ...advertise, responseSerialize } };
}

/**
 * Every way into a coordinator and who may take it: the one table. An RPC or an HTTP route that is not here
 * opens for nobody.
 */
import type { Role } from './domain/credentials.ts';

/** What a caller may be allowed to do. */
export type Action =
  | 'read-blobs'
  | 'write-blobs'
  | 'read-jobs'
  | 'write-jobs'
  | 'read-farm'
  | 'administer-farm'
  | 'join-farm'
  | 'serve-as-agent';

/** `agent-key` is an agent that has joined; a token of role `agent` lets it join, and nothing else. */
export type Caller = Role | 'agent-key';

export const ALLOWED: Readonly<Record<Action, readonly Caller[]>> = {
  // An agent only what its leases name: blob-access.ts.
  'read-blobs': ['admin', 'submit', 'view', 'agent-key'],
  'write-blobs': ['admin', 'submit', 'agent-key'],
  'read-jobs': ['admin', 'submit', 'view'],
  'write-jobs': ['admin', 'submit'],
  'read-farm': ['admin', 'submit', 'view'],
  'administer-farm': ['admin'],
  'join-farm': ['admin', 'agent'],
  'serve-as-agent': ['agent-key', 'admin'],
};

export const RPC_DOORS = {
  '/furrow.v1.JobService/SubmitJob': 'write-jobs',
  '/furrow.v1.JobService/GetJob': 'read-jobs',
  '/furrow.v1.JobService/ListJobs': 'read-jobs',
  '/furrow.v1.JobService/WatchJob': 'read-jobs',
  '/furrow.v1.JobService/CancelJob': 'write-jobs',
  '/furrow.v1.JobService/RetryJob': 'write-jobs',
  '/furrow.v1.JobService/PauseJob': 'write-jobs',
  '/furrow.v1.JobService/ResumeJob': 'write-jobs',
  '/furrow.v1.JobService/RemoveJob': 'write-jobs',
  '/furrow.v1.JobService/ListUnits': 'read-jobs',
  '/furrow.v1.JobService/Explain': 'read-jobs',
  '/furrow.v1.JobService/StreamLogs': 'read-jobs',
  '/furrow.v1.FarmService/GetStatus': 'read-farm',
  '/furrow.v1.FarmService/ListAgents': 'read-farm',
  '/furrow.v1.FarmService/ListSizes': 'read-farm',
  '/furrow.v1.FarmService/DrainAgent': 'administer-farm',
  '/furrow.v1.FarmService/UndrainAgent': 'administer-farm',
  '/furrow.v1.FarmService/SetTickets': 'administer-farm',
  '/furrow.v1.FarmService/SetOwner': 'administer-farm',
  '/furrow.v1.FarmService/SetAgentPolicy': 'administer-farm',
  '/furrow.v1.FarmService/RevokeAgent': 'administer-farm',
  '/furrow.v1.FarmService/CreateToken': 'administer-farm',
  '/furrow.v1.FarmService/ListTokens': 'administer-farm',
  '/furrow.v1.FarmService/RevokeToken': 'administer-farm',
  '/furrow.v1.BlobService/FindMissingBlobs': 'write-blobs',
  '/furrow.v1.BlobService/UploadBlob': 'write-blobs',
  '/furrow.v1.BlobService/DownloadBlob': 'read-blobs',
  '/furrow.v1.ModelService/AddModel': 'administer-farm',
  '/furrow.v1.ModelService/RemoveModel': 'administer-farm',
  '/furrow.v1.ModelService/ListModels': 'read-farm',
  '/furrow.v1.AgentService/JoinAgent': 'join-farm',
  '/furrow.v1.AgentService/EnrolAgent': 'serve-as-agent',
  '/furrow.v1.AgentService/Advertise': 'serve-as-agent',
  // What this server speaks, and whether it lives: no secret, and asked by balancers and probes.
  '/grpc.health.v1.Health/Check': 'open',
  '/grpc.health.v1.Health/Watch': 'open',
  '/grpc.health.v1.Health/List': 'open',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo': 'open',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo': 'open',
} as const satisfies Readonly<Record<string, Action | 'open'>>;

/** An RPC that somebody must be allowed to call. */
export type GuardedRpc = {
  [Path in keyof typeof RPC_DOORS]: (typeof RPC_DOORS)[Path] extends 'open' ? never : Path;
}[keyof typeof RPC_DOORS];

export const HTTP_DOORS = {
  'GET /healthz': 'open',
  'GET /blobs/SHA256': 'read-blobs',
  'HEAD /blobs/SHA256': 'read-blobs',
  'PUT /blobs/SHA256': 'write-blobs',
  'POST /blobs/SHA256/verify': 'read-blobs',
  'POST /blobs/missing': 'write-blobs',
  'POST /uploads': 'write-blobs',
  'OPTIONS /uploads': 'write-blobs',
  'HEAD /uploads/ID': 'write-blobs',
  'PATCH /uploads/ID': 'write-blobs',
  'DELETE /uploads/ID': 'write-blobs',
} as const satisfies Readonly<Record<string, Action | 'open'>>;

export type HttpDoor = keyof typeof HTTP_DOORS;

/** The gRPC server: services, health and reflection on one port. */
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation, protoPath as healthProtoPath } from 'grpc-health-check';
import type { ServerIdentity } from '../../kit/farm-ca.ts';
import type { Access } from '../access.ts';
import type { NetworkLimits } from '../limits/network-limits.ts';
import { grpcGuard, measured } from './guard.ts';
import { GrpcListener } from './listener.ts';

export interface GrpcServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined: plain text. */
  readonly identity?: ServerIdentity | undefined;
  readonly access: Access;
  readonly limits: NetworkLimits;
  /** Folder that holds furrow/v1/*.proto: what reflection tells is read from there. */
  readonly protoDirectory: string;
  readonly services: readonly {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
    /** Health says NOT_SERVING of it while this coordinator stands by. */
    readonly isLeaders: boolean;
  }[];
}

export interface GrpcServer {
  /** HOST:PORT. */
  readonly address: string;
  /** From now on this coordinator leads: health says so. */
  lead(): void;
  /** Who connects from now on is shown this certificate. */
  renew(identity: ServerIdentity): void;
  /** Ends open calls after the grace. */
  close(graceMs: number): Promise<void>;
}

const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;
/** What our own clients take. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** A service may watch hundreds of jobs over one connection. */
const MAX_STREAMS = 1_000;
/** Of what HTTP/2 itself keeps for a connection. */
const MAX_SESSION_MIB = 128;
/** Clients open another when they need one. */
const MAX_IDLE_MS = 5 * 60_000;
/** Agents tell by their beats that they live: this is for clients that only listen, and costs each of both. */
const KEEPALIVE_MS = 120_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
const MIN_CLIENT_PING_MS = 5_000;

/** FurrowError: failed-precondition PORT_IN_USE. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server({
    interceptors: [grpcGuard(options.access, options.limits)],
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_ANSWER_BYTES,
    'grpc.max_concurrent_streams': MAX_STREAMS,
    'grpc-node.max_session_memory': MAX_SESSION_MIB,
    'grpc.max_connection_idle_ms': MAX_IDLE_MS,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.http2.min_ping_interval_without_data_ms': MIN_CLIENT_PING_MS,
    'grpc.keepalive_permit_without_calls': 1,
    // Nobody asks for it, and it keeps a record of every connection and message.
    'grpc.enable_channelz': 0,
  });
  for (const { definition, implementation } of options.services) {
    server.addService(measured(definition), implementation);
  }
  const health = healthOf(options.services);
  health.addToServer(server);
  new ReflectionService(describeServices(options.protoDirectory)).addToServer(server);
  // Encrypted or not, what arrives here is plain: the listener has seen to that.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await GrpcListener.open({
    ...options,
    door: options.limits.door,
    onConnection: (socket) => injector.injectConnection(socket),
  });
  return {
    address: listener.address,
    lead: () => health.setAll('SERVING'),
    renew: (identity) => listener.renew(identity),
    close: async (graceMs) => {
      listener.close();
      health.setAll('NOT_SERVING');
      await shutDown(server, graceMs);
    },
  };
}

interface Health {
  addToServer(server: Server): void;
  setAll(status: 'SERVING' | 'NOT_SERVING'): void;
}

/** The empty name is the server as a whole. */
function healthOf(services: GrpcServerOptions['services']): Health {
  const atFirst = services.map(
    ({ definition, isLeaders }) =>
      [nameOf(definition), isLeaders ? 'NOT_SERVING' : 'SERVING'] as const,
  );
  const parts = Object.fromEntries([['', 'SERVING'] as const, ...atFirst]);
  const health = new HealthImplementation(parts);
  return {
    addToServer: (server) => health.addToServer(server),
    setAll: (status) => Object.keys(parts).forEach((part) => health.setStatus(part, status)),
  };
}

/** Such as `furrow.v1.JobService`. */
function nameOf(definition: ServiceDefinition): string {
  return Object.values(definition)[0]?.path.split('/')[1] ?? '';
}

function describeServices(protoDirectory: string): ReturnType<typeof loadSync> {
  const files = ['job_service', 'agent_service', 'farm_service', 'blob_service', 'model_service'];
  return loadSync([...files.map((name) => `furrow/v1/${name}.proto`), healthProtoPath], {
    includeDirs: [protoDirectory],
    keepCase: true,
  });
}

async function shutDown(server: Server, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const force = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

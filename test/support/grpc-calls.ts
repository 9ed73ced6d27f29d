/** Calls as a service makes them, without any of the CLI's comforts: raw statuses and their ErrorInfo. */
import {
  makeGenericClientConstructor,
  Metadata,
  type CallOptions,
  type ClientUnaryCall,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { channelCredentialsFor, channelOptionsFor } from '../../kit/channel-trust.ts';
import { PLAINTEXT, type Trust } from '../../kit/trust.ts';
import { decodeErrorDetails, ERROR_DETAILS_KEY } from '../../kit/error-details.ts';
import { AgentServiceClient } from '../../proto/gen/furrow/v1/agent_service.ts';
import { BlobServiceClient } from '../../proto/gen/furrow/v1/blob_service.ts';
import { FarmServiceClient } from '../../proto/gen/furrow/v1/farm_service.ts';
import { JobServiceClient } from '../../proto/gen/furrow/v1/job_service.ts';

/** What grpc.health.v1 says of a service: SERVING or NOT_SERVING. It wants no token. */
export async function healthAt(address: string, trust: Trust, service: string): Promise<string> {
  const Health = makeGenericClientConstructor(healthService, 'Health');
  const options = channelOptionsFor(trust, address);
  const client = new Health(address, channelCredentialsFor(trust), options);
  const check = client['check'] as (
    request: object,
    callback: (error: ServiceError | null, answer: { readonly status: string }) => void,
  ) => void;
  try {
    return await new Promise((resolve, reject) => {
      check.call(client, { service }, (error, answer) =>
        error === null ? resolve(answer.status) : reject(error),
      );
    });
  } finally {
    client.close();
  }
}

/** What a failed call says. */
export interface Refusal {
  /** gRPC status number. */
  readonly code: number;
  /** Of the ErrorInfo; undefined when there is none. */
  readonly reason: string | undefined;
  readonly message: string;
}

export class GrpcCaller {
  readonly jobs: JobServiceClient;
  readonly blobs: BlobServiceClient;
  readonly farm: FarmServiceClient;
  readonly agents: AgentServiceClient;
  readonly metadata = new Metadata();

  /** Without a token, calls carry none. */
  constructor(address: string, token?: string, trust: Trust = PLAINTEXT) {
    const options = { 'grpc.max_send_message_length': -1, ...channelOptionsFor(trust, address) };
    const channel = channelCredentialsFor(trust);
    this.jobs = new JobServiceClient(address, channel, options);
    this.blobs = new BlobServiceClient(address, channel, options);
    this.farm = new FarmServiceClient(address, channel, options);
    this.agents = new AgentServiceClient(address, channel, options);
    if (token !== undefined) this.metadata.set('authorization', `Bearer ${token}`);
  }

  call<Request, Response>(
    method: (
      request: Request,
      metadata: Metadata,
      options: Partial<CallOptions>,
      callback: (error: ServiceError | null, response: Response) => void,
    ) => ClientUnaryCall,
    request: Request,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      method(request, this.metadata, {}, (error, response) =>
        error === null ? resolve(response) : reject(error),
      );
    });
  }

  /** All that a stream brings. */
  async all<Request, Response>(
    method: (request: Request, metadata?: Metadata) => ClientReadableStream<Response>,
    request: Request,
  ): Promise<Response[]> {
    const messages: Response[] = [];
    for await (const message of method(request, this.metadata)) messages.push(message as Response);
    return messages;
  }

  close(): void {
    for (const client of [this.jobs, this.blobs, this.farm, this.agents]) client.close();
  }
}

/** How a call was refused. Fails the test when it was not. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const answer = await call.then(
    () => undefined,
    (error: ServiceError) => error,
  );
  if (answer === undefined) throw new Error('it was not refused');
  const details = answer.metadata?.get(ERROR_DETAILS_KEY)[0];
  const info = details instanceof Buffer ? decodeErrorDetails(details) : undefined;
  return { code: answer.code, reason: info?.reason, message: answer.details };
}

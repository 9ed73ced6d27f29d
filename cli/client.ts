/**
 * The farm's gRPC services as promises and async iterables. Every call carries the token, every unary
 * call a deadline, and every error comes out as a FurrowError with the farm's own reason.
 */
import {
  credentials,
  Metadata,
  status,
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLIENT_VERSION_KEY } from '../kit/client-version.ts';
import { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { decodeErrorDetails, ERROR_DETAILS_KEY, errorCodeOf } from '../kit/error-details.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { VERSION } from '../kit/version.ts';
import { FarmServiceClient } from '../proto/gen/furrow/v1/farm_service.ts';
import { JobServiceClient } from '../proto/gen/furrow/v1/job_service.ts';
import type { Trust } from '../kit/trust.ts';
import { ofContext } from './context-errors.ts';
import type { FarmAddress } from './farm-address.ts';

const UNARY_DEADLINE_MS = 15_000;
/** Where there are several coordinators, one that is silent for so long is not waited for. */
const ONE_OF_SEVERAL_MS = 5_000;
/** Between rounds of asking, while a standby waits for its turn. */
const ROUND_PAUSE_MS = 400;
/** Notices a farm whose machine is gone, where no packet would ever say so. */
const KEEPALIVE_TIME_MS = 10_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
/** The channel's own back-off. Ours, above it, decides how often is tried. */
const MAX_CHANNEL_BACKOFF_MS = 2_000;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

type StreamMethod<Request, Response> = (
  request: Request,
  metadata?: Metadata,
  options?: Partial<CallOptions>,
) => ClientReadableStream<Response>;

export class FarmClient {
  readonly token: string;
  readonly trust: Trust;
  /** Name of the context that it is from; errors of the farm say so. */
  readonly context: string | undefined;
  readonly jobs: JobServiceClient;
  readonly farm: FarmServiceClient;
  readonly #signal: AbortSignal;
  readonly #channel: CoordinatorChannel;

  /** The signal ends every call that is under way, and those to come, with its reason. */
  constructor(farm: FarmAddress, signal: AbortSignal) {
    const options = {
      'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.max_reconnect_backoff_ms': MAX_CHANNEL_BACKOFF_MS,
      'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    };
    this.token = farm.token;
    this.#signal = signal;
    this.trust = farm.trust;
    this.context = farm.context;
    this.#channel = new CoordinatorChannel(farm.address, farm.trust, options);
    // One connection for both: the channel's own credentials count.
    const shared = { channelOverride: this.#channel };
    this.jobs = new JobServiceClient(farm.address, credentials.createInsecure(), shared);
    this.farm = new FarmServiceClient(farm.address, credentials.createInsecure(), shared);
  }

  /** HOST:PORT of the coordinator that is asked at the moment. */
  get address(): string {
    return this.#channel.address;
  }

  /**
   * `client.call(client.jobs.getJob.bind(client.jobs), { jobId })`. Where the farm has several
   * coordinators, the one that can answer is looked for, within the deadline. Every call of ours may be
   * made twice: submits carry a client id, and the others set what they set.
   */
  async call<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    deadlineMs = UNARY_DEADLINE_MS,
  ): Promise<Response> {
    const deadline = Date.now() + deadlineMs;
    for (;;) {
      const { address } = this.#channel;
      const mostMs = this.#channel.hasSeveral ? ONE_OF_SEVERAL_MS : deadlineMs;
      try {
        const response = await this.#callOnce(
          method,
          request,
          Math.min(deadline, Date.now() + mostMs),
        );
        this.#channel.served(address);
        return response;
      } catch (error) {
        this.#signal.throwIfAborted();
        const next = this.#channel.failed(error, address);
        const pauseMs = next === 'soon' ? ROUND_PAUSE_MS : 0;
        if (next === 'no' || Date.now() + pauseMs >= deadline) throw error;
        if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: this.#signal }).catch(() => {});
      }
    }
  }

  #callOnce<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    deadline: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (this.#signal.aborted) return reject(this.#signal.reason);
      const { address } = this.#channel;
      const call = method(request, this.#metadata(), { deadline }, (error, response) => {
        this.#signal.removeEventListener('abort', cancel);
        if (error === null) resolve(response);
        else reject(this.#signal.aborted ? this.#signal.reason : this.#errorFrom(error, address));
      });
      const cancel = (): void => call.cancel();
      this.#signal.addEventListener('abort', cancel, { once: true });
    });
  }

  /** What a server streams, until it ends; leaving the loop ends the call. */
  async *stream<Request, Response>(
    method: StreamMethod<Request, Response>,
    request: Request,
  ): AsyncGenerator<Response> {
    this.#signal.throwIfAborted();
    const { address } = this.#channel;
    const call = method(request, this.#metadata());
    const cancel = (): void => call.cancel();
    this.#signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of call as AsyncIterable<Response>) {
        this.#channel.served(address);
        yield message;
      }
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      const known = this.#errorFrom(error, address);
      // Whoever opens the stream again does so at the next one.
      this.#channel.failed(known, address);
      throw known;
    } finally {
      this.#signal.removeEventListener('abort', cancel);
      // A cancelled call reports so once more, to nobody.
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  close(): void {
    this.#channel.close();
  }

  #errorFrom(error: unknown, address: string): FurrowError {
    return ofContext(this.context, furrowErrorFrom(error, address, this.context));
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${this.token}`);
    metadata.set(CLIENT_VERSION_KEY, VERSION);
    return metadata;
  }
}

function furrowErrorFrom(error: unknown, address: string, context?: string): FurrowError {
  return isServiceError(error)
    ? furrowErrorOf(error, address, context)
    : new FurrowError('internal', 'UNEXPECTED', messageOf(error), { cause: error });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

/** The farm's own words where it answered; ours where it did not. */
function furrowErrorOf(error: ServiceError, address: string, context?: string): FurrowError {
  const details = error.metadata.get(ERROR_DETAILS_KEY)[0];
  const info = details instanceof Buffer ? decodeErrorDetails(details) : undefined;
  if (info)
    return new FurrowError(errorCodeOf(error.code), info.reason, error.details, {
      cause: error,
      details: info.metadata,
    });
  const options = { cause: error };
  switch (error.code) {
    case status.UNAVAILABLE: {
      return unreachable(error, address, context);
    }
    // We did not cancel it: a farm that shuts down in a hurry does.
    case status.CANCELLED:
      return new FurrowError(
        'unavailable',
        'FARM_UNREACHABLE',
        `lost the farm at ${address}`,
        options,
      );
    case status.DEADLINE_EXCEEDED: {
      const message = `the farm at ${address} did not answer in time: see furrow status`;
      return new FurrowError('timed-out', 'FARM_SILENT', message, options);
    }
    case status.UNIMPLEMENTED: {
      const message = `what answers at ${address} is no furrow farm, or an older one`;
      return new FurrowError('failed-precondition', 'NOT_SUPPORTED', message, options);
    }
    default:
      return brokenConnection(error)
        ? new FurrowError('unavailable', 'FARM_UNREACHABLE', `lost the farm at ${address}`, options)
        : new FurrowError(
            errorCodeOf(error.code),
            status[error.code] ?? 'UNKNOWN',
            error.details,
            options,
          );
  }
}

/** grpc-js: `No connection established. Last error: Error: self-signed certificate. Resolution note: `. */
function causeIn(details: string): string {
  const cause = /Last error: (?:Error: )?(.*?)\.? *(?:Resolution note:|$)/.exec(details)?.[1];
  return (cause ?? details).slice(0, 200);
}

/** Nobody is there, or somebody whom we cannot believe: only the text tells. */
function unreachable(error: ServiceError, address: string, context?: string): FurrowError {
  const options = { cause: error };
  if (/certificate|CERT_|altname/i.test(error.details)) {
    const remedy =
      context === undefined
        ? "use the farm's URL, which its owner gets from furrow token create"
        : `it is another farm, or was set up anew; get its URL and furrow context add ${context} - --replace`;
    const message = `what answers at ${address} is not known here (${causeIn(error.details)}): ${remedy}`;
    return new FurrowError('forbidden', 'FARM_NOT_TRUSTED', message, options);
  }
  if (/wrong version number|EPROTO|packet length too long/i.test(error.details)) {
    const message = `what answers at ${address} does not speak TLS: if that farm was started with --plaintext, say so here too`;
    return new FurrowError('failed-precondition', 'FARM_WITHOUT_TLS', message, options);
  }
  const remedy =
    context === undefined
      ? 'start one with furrow up, or name it with --farm HOST:PORT'
      : 'is it running, and does a firewall let it through? furrow context list has the others';
  const message = `no farm answers at ${address}: ${remedy}`;
  return new FurrowError('unavailable', 'FARM_UNREACHABLE', message, options);
}

/** A killed server's stream can end as INTERNAL or UNKNOWN; only the text tells. */
function brokenConnection(error: ServiceError): boolean {
  return /RST_STREAM|GOAWAY|ECONNRESET|socket hang up/i.test(error.details);
}

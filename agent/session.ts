/**
 * The control plane: enrols, then beats on one long stream, and comes back by itself when the stream
 * breaks. One session lives as long as the process; streams come and go under it.
 */
import { Metadata, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
  AgentServiceClient,
  Capacity,
  EnrolAgentRequest,
  EnrolAgentResponse,
  JournalPlace,
} from '../proto/gen/furrow/v1/agent_service.ts';
import type { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { LEADER_DETAIL, NOT_LEADER, type NextTry } from '../kit/coordinator-route.ts';
import { decodeErrorDetails, ERROR_DETAILS_KEY, errorCodeOf } from '../kit/error-details.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { AnswerTaken, KeeperBeat } from './lease-keeper.ts';

/** What the session tells and hears, beat by beat. */
export interface SessionPorts {
  nextBeat(): KeeperBeat;
  beatAnswered(response: AdvertiseResponse): AnswerTaken;
  readonly workPlaneUp: boolean;
  /** New credentials for NATS. */
  natsRenewed(jwt: string): void;
  /** A new object whenever it changed; it is not compared by content. */
  capacity(): Capacity;
  /** Enrolled once more after a lost connection: addresses may have changed. */
  enrolledAgain(enrolment: EnrolAgentResponse): void;
}

export interface SessionOptions {
  readonly client: AgentServiceClient;
  /** The client's own: told which coordinators served. */
  readonly channel: CoordinatorChannel;
  /** What it proves itself with. */
  readonly key: string;
  readonly identity: EnrolAgentRequest;
  readonly session: string;
  /** When it began: see session-start.ts. */
  readonly startedAtMs: number;
  /** What was seen of the farm's journal, by this process or by one before it. */
  readonly seen: () => JournalPlace | undefined;
  readonly random: () => number;
  readonly log: Logger;
}

const CALL_DEADLINE_MS = 5_000;
/** A stream whose beats nobody answers for so long is given up, keepalive or not. */
const SILENCE_LIMIT_MS = 10_000;
/** What a unit of nothing changes is undone at once: it is not told, and not in its way. */
const CHANGE_DELAY_MS = 10;
/** Beats on change are at least so far apart: a long inventory costs both sides more than it tells. */
const CHANGE_PAUSE_MS = 50;
const CHANGE_PAUSE_PER_LEASE_MS = 0.25;
const FIRST_RECONNECT_MS = 200;
/** With the channel's own pause it makes the 5 s that a takeover waits for. */
const LONGEST_RECONNECT_MS = 4_000;

/** Options of the channel, so that a dead coordinator is noticed and a living one found again soon. */
export const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 5_000,
  'grpc.keepalive_timeout_ms': 4_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.initial_reconnect_backoff_ms': FIRST_RECONNECT_MS,
  'grpc.min_reconnect_backoff_ms': FIRST_RECONNECT_MS,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.max_receive_message_length': 16 * 1024 * 1024,
} as const;

export class Session {
  readonly #options: SessionOptions;
  #enrolment: EnrolAgentResponse | null = null;
  #stream: Stream | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * Enrols for the first time; a coordinator that is away is waited for. FurrowError when it refuses:
   * conflict (another machine lives under this id), unauthenticated, forbidden, invalid; AGENT_VERSION.
   */
  async enrol(signal: AbortSignal): Promise<EnrolAgentResponse> {
    const pause = new Pause(this.#options.random);
    for (;;) {
      signal.throwIfAborted();
      const { channel } = this.#options;
      const { address } = channel;
      try {
        this.#enrolment = await this.#callEnrol();
        return this.#enrolment;
      } catch (error) {
        if (!(error instanceof FurrowError) || isFatal(error)) throw error;
        this.#options.log.warn({ error: error.message }, 'cannot enrol; trying again');
        if (channel.failed(error, address) === 'now') continue;
      }
      await pause.wait(signal);
    }
  }

  /**
   * Beats until the signal. FurrowError OTHER_FARM when another farm answers at the address;
   * SESSION_FENCED when another process has taken this agent's place.
   */
  async run(ports: SessionPorts, signal: AbortSignal): Promise<void> {
    const pause = new Pause(this.#options.random);
    for (let first = true; !signal.aborted; first = false) {
      let next: NextTry = 'soon';
      const { channel } = this.#options;
      const { address } = channel;
      try {
        if (!first) ports.enrolledAgain(await this.#enrolAgain());
        const stream = new Stream(this.#options, ports, heartbeatMsOf(this.#enrolment));
        this.#stream = stream;
        await stream.run(signal, () => {
          pause.reset();
          channel.served(address);
        });
      } catch (error) {
        if (error instanceof FurrowError && FINAL.has(error.reason)) throw error;
        this.#options.log.warn({ error: messageOf(error) }, 'lost the coordinator; trying again');
        next = channel.failed(error, address);
      }
      this.#stream = null;
      if (next !== 'now') await pause.wait(signal);
    }
  }

  /** Something changed: the next beat goes out soon. */
  beatSoon(): void {
    this.#stream?.beatSoon();
  }

  /**
   * Another coordinator leads now, there: the one at hand may not know it, and go on answering. Without
   * effect between two streams: the next one is looked for already.
   */
  moveTo(leader: string): void {
    this.#stream?.leaveFor(leader);
  }

  /** A beat at once, for what the coordinator has to know before it hears anything else. Settles with its answer. */
  async beatNow(limitMs: number): Promise<void> {
    await Promise.race([this.#stream?.beatAnswered(), sleep(limitMs)]);
  }

  async #enrolAgain(): Promise<EnrolAgentResponse> {
    const enrolment = await this.#callEnrol();
    const before = this.#enrolment?.farmId ?? enrolment.farmId;
    if (enrolment.farmId !== before) {
      throw new FurrowError(
        'failed-precondition',
        'OTHER_FARM',
        `the coordinator belongs to farm ${enrolment.farmId} now, this agent joined ${before}: restart the agent if that is meant`,
      );
    }
    this.#enrolment = enrolment;
    return enrolment;
  }

  #callEnrol(): Promise<EnrolAgentResponse> {
    const { client, identity, key, seen } = this.#options;
    return new Promise((fulfil, reject) => {
      client.enrolAgent(
        { ...identity, seen: seen() },
        authorization(key),
        { deadline: Date.now() + CALL_DEADLINE_MS },
        (error, response) => (error === null ? fulfil(response) : reject(furrowErrorOf(error))),
      );
    });
  }
}

const FATAL: ReadonlySet<FurrowError['code']> = new Set([
  'conflict',
  'unauthenticated',
  'forbidden',
  'invalid',
]);

const USUAL_HEARTBEAT_MS = 3_000;
const LEAST_HEARTBEAT_MS = 50;
const LONGEST_HEARTBEAT_MS = 60_000;

/** How often to beat, as the farm says, within reason: whatever it says, neither a storm nor silence. */
export function heartbeatMsOf(enrolment: EnrolAgentResponse | null): number {
  const saidMs = enrolment?.heartbeatMs || USUAL_HEARTBEAT_MS;
  return Math.min(Math.max(saidMs, LEAST_HEARTBEAT_MS), LONGEST_HEARTBEAT_MS);
}

/** For an agent that just started: somebody is there to read why. */
const isFatal = ({ code, reason }: FurrowError): boolean =>
  FATAL.has(code) || reason === 'AGENT_VERSION';

/** For a session that was served before. */
const FINAL: ReadonlySet<string> = new Set(['OTHER_FARM', 'SESSION_FENCED', 'AGENT_REVOKED']);

/** One Advertise stream. */
class Stream {
  readonly #options: SessionOptions;
  readonly #ports: SessionPorts;
  readonly #heartbeatMs: number;
  readonly #call: ClientDuplexStream<AdvertiseRequest, AdvertiseResponse>;
  #timer: NodeJS.Timeout | undefined;
  #lastSentMs = -Infinity;
  #oldestUnansweredMs: number | null = null;
  #sentCapacity: Capacity | null = null;
  #soon = false;
  #lastBeat = 0;
  /** Of the last beat's inventory. */
  #leases = 0;
  readonly #waiting: { readonly beat: number; readonly fulfil: () => void }[] = [];

  constructor(options: SessionOptions, ports: SessionPorts, heartbeatMs: number) {
    this.#options = options;
    this.#ports = ports;
    this.#heartbeatMs = heartbeatMs;
    this.#call = options.client.advertise(authorization(options.key));
  }

  /** Settles when the signal came; rejects when the stream broke. */
  async run(signal: AbortSignal, answered: () => void): Promise<void> {
    const stop = (): void => this.#call.cancel();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await new Promise<void>((fulfil, reject) => {
        this.#call.on('data', (response: AdvertiseResponse) => {
          try {
            answered();
            this.#answered(response);
          } catch (error) {
            // What cannot be handled must not end the agent, and what runs on it.
            const message = `an answer cannot be handled: ${messageOf(error)}`;
            const cause = { cause: error };
            this.#call.destroy(new FurrowError('unavailable', 'BAD_ANSWER', message, cause));
          }
        });
        this.#call.on('error', (error: ServiceError) =>
          signal.aborted ? fulfil() : reject(furrowErrorOf(error)),
        );
        this.#call.on('end', () =>
          reject(
            new FurrowError('unavailable', 'STREAM_ENDED', 'the coordinator ended the stream'),
          ),
        );
        this.#beat();
      });
    } finally {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      signal.removeEventListener('abort', stop);
      this.#call.cancel();
    }
  }

  beatSoon(): void {
    if (this.#soon || this.#timer === undefined) return;
    this.#soon = true;
    const pauseMs = Math.max(CHANGE_PAUSE_MS, this.#leases * CHANGE_PAUSE_PER_LEASE_MS);
    this.#schedule(Math.max(CHANGE_DELAY_MS, this.#lastSentMs + pauseMs - performance.now()));
  }

  /** Beats at once; settles when that beat is answered, and never if the stream breaks before. */
  beatAnswered(): Promise<void> {
    this.#beat();
    return new Promise((fulfil) => this.#waiting.push({ beat: this.#lastBeat, fulfil }));
  }

  leaveFor(leader: string): void {
    const message = `another coordinator leads, at ${leader}`;
    const details = { [LEADER_DETAIL]: leader };
    this.#call.destroy(new FurrowError('unavailable', NOT_LEADER, message, { details }));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#beat(), delayMs);
  }

  #beat(): void {
    const nowMs = performance.now();
    if (this.#oldestUnansweredMs !== null && nowMs - this.#oldestUnansweredMs > SILENCE_LIMIT_MS) {
      this.#call.destroy(
        new FurrowError('unavailable', 'SILENCE', 'the coordinator does not answer beats'),
      );
      return;
    }
    this.#soon = false;
    this.#lastSentMs = nowMs;
    this.#oldestUnansweredMs ??= nowMs;
    this.#call.write(this.#request());
    this.#schedule(this.#heartbeatMs * (0.9 + this.#options.random() / 5));
  }

  #request(): AdvertiseRequest {
    const { identity, session, startedAtMs } = this.#options;
    const capacity = this.#ports.capacity();
    const changed = capacity !== this.#sentCapacity;
    this.#sentCapacity = capacity;
    const beat = this.#ports.nextBeat();
    this.#lastBeat = beat.beat;
    this.#leases = beat.inventory.length;
    return {
      agentId: identity.agentId,
      session,
      machineFingerprint: identity.machineFingerprint,
      name: identity.name,
      capacity: changed ? capacity : undefined,
      workPlaneUp: this.#ports.workPlaneUp,
      sessionStartedAtMs: startedAtMs,
      ...beat,
    };
  }

  #answered(response: AdvertiseResponse): void {
    this.#oldestUnansweredMs = null;
    for (const { beat, fulfil } of this.#waiting) if (beat <= response.beat) fulfil();
    if (response.natsJwt !== undefined) this.#ports.natsRenewed(response.natsJwt);
    const taken = this.#ports.beatAnswered(response);
    // Enrolling again tells it what it does not know, or finds the one that leads now.
    if (taken.state === 'ignored') {
      this.#call.destroy(new FurrowError('unavailable', 'NOT_OBEYED', taken.why));
    }
  }
}

/** Growing pauses between tries, with jitter so that a farm's agents do not come back as one. */
class Pause {
  readonly #random: () => number;
  #nextMs = FIRST_RECONNECT_MS;

  constructor(random: () => number) {
    this.#random = random;
  }

  reset(): void {
    this.#nextMs = FIRST_RECONNECT_MS;
  }

  async wait(signal: AbortSignal): Promise<void> {
    const pauseMs = this.#nextMs * (0.5 + this.#random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, LONGEST_RECONNECT_MS);
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

function authorization(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

export function furrowErrorOf(error: ServiceError): FurrowError {
  if (error instanceof FurrowError) return error;
  const [details] = error.metadata?.get(ERROR_DETAILS_KEY) ?? [];
  const info = details instanceof Uint8Array ? decodeErrorDetails(details) : undefined;
  const text =
    error.details === undefined || error.details === '' ? messageOf(error) : error.details;
  return new FurrowError(errorCodeOf(error.code), info?.reason ?? 'GRPC', text, {
    cause: error,
    ...(info && { details: info.metadata }),
  });
}

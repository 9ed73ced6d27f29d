/** AgentService: enrolment, and the stream that is an agent's only heartbeat. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { FurrowError } from '../../kit/furrow-error.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
  AgentServiceServer,
  Capacity,
  EnrolAgentRequest,
  EnrolAgentResponse,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { StopOrder } from '../domain/decision.ts';
import type { Farm } from '../domain/farm.ts';
import type { Office } from '../office.ts';
import { asFurrowError, statusOf } from './errors.ts';
import { bidiStreaming, type Gate, unary } from './handlers.ts';
import { beatFromWire, tokenToWire, unlessRefused } from './wire.ts';

export interface AgentServiceOptions {
  readonly gate: Gate;
  readonly office: Office;
  readonly leaseTtlMs: number;
  readonly heartbeatMs: number;
  readonly natsUrls: readonly string[];
  readonly natsToken: string;
  readonly blobUrl: () => string;
}

type Stream = ServerDuplexStream<AdvertiseRequest, AdvertiseResponse>;

const AGENT_ID = /^[a-z0-9][a-z0-9-]{0,63}$/;
const SESSION = /^[A-Za-z0-9-]{1,64}$/;
const AGENT_NAME = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/** The streams that are open, by agent; and the capacities they carried, as they were sent. */
export class AgentStreams {
  readonly #streams = new Map<string, Stream>();
  readonly #capacities = new Map<string, Capacity>();

  attach(agentId: string, stream: Stream): void {
    const before = this.#streams.get(agentId);
    this.#streams.set(agentId, stream);
    if (before !== undefined && before !== stream) before.end();
  }

  /** False when another stream of this agent took its place already. */
  detach(agentId: string, stream: Stream): boolean {
    if (this.#streams.get(agentId) !== stream) return false;
    this.#streams.delete(agentId);
    return true;
  }

  send(agentId: string, response: AdvertiseResponse): void {
    this.#streams.get(agentId)?.write(response);
  }

  noteCapacity(agentId: string, capacity: Capacity): void {
    this.#capacities.set(agentId, capacity);
  }

  capacityOf(agentId: string): Capacity | undefined {
    return this.#capacities.get(agentId);
  }
}

/** Says over an agent's stream which attempts must stop. A beat number of 0 renews nothing. */
export function sendStop(
  streams: AgentStreams,
  options: { readonly farm: Farm; readonly leaseTtlMs: number },
  order: StopOrder,
): void {
  const stop = order.tokens.map(tokenToWire);
  const draining = options.farm.agents.get(order.agentId)?.draining ?? false;
  streams.send(order.agentId, {
    farmId: options.farm.farmId,
    epoch: options.farm.epoch,
    beat: 0,
    stop,
    releasedGrant: 0,
    drain: draining,
    leaseTtlMs: options.leaseTtlMs,
  });
}

export function agentService(
  options: AgentServiceOptions,
  streams: AgentStreams,
): AgentServiceServer {
  const { gate } = options;
  return {
    enrolAgent: unary(gate, 'serve-as-agent', (request) => enrol(options, request)),
    advertise: bidiStreaming(gate, 'serve-as-agent', (stream) => serve(options, streams, stream)),
  };
}

async function enrol(
  options: AgentServiceOptions,
  request: EnrolAgentRequest,
): Promise<EnrolAgentResponse> {
  const { agentId, name, version, machineFingerprint } = request;
  if (!AGENT_ID.test(agentId)) {
    throw new FurrowError('invalid', 'AGENT_ID_INVALID', 'an agent id is 1–64 of a-z, 0-9 and -');
  }
  if (!AGENT_NAME.test(name)) {
    const message = 'an agent name is 1–128 characters without control characters';
    throw new FurrowError('invalid', 'AGENT_NAME_INVALID', message);
  }
  unlessRefused(
    await options.office.submit({ type: 'EnrolAgent', agentId, name, version, machineFingerprint }),
  );
  return {
    farmId: options.office.farm.farmId,
    natsUrls: options.natsUrls,
    natsToken: options.natsToken,
    blobUrl: options.blobUrl(),
    leaseTtlMs: options.leaseTtlMs,
    heartbeatMs: options.heartbeatMs,
  };
}

function serve(options: AgentServiceOptions, streams: AgentStreams, stream: Stream): void {
  const { office, gate } = options;
  let who: { readonly agentId: string; readonly session: string } | undefined;
  stream.on('data', (request: AdvertiseRequest) => {
    try {
      who ??= introduce(request);
      if (who.agentId !== request.agentId || who.session !== request.session) {
        throw new FurrowError('invalid', 'BEAT_MIXED', 'a stream carries beats of one session');
      }
      const reply = answerBeat(options, request);
      streams.attach(request.agentId, stream);
      if (request.capacity !== undefined) streams.noteCapacity(request.agentId, request.capacity);
      stream.write(reply);
    } catch (thrown) {
      const error = asFurrowError(thrown);
      gate.log.warn({ agent: request.agentId, reason: error.reason }, 'heartbeat refused');
      stream.emit('error', statusOf(error));
    }
  });
  const close = (): void => {
    if (who === undefined || !streams.detach(who.agentId, stream)) return;
    void office.submit({ type: 'StreamClosed', ...who }).catch(() => {});
  };
  stream.on('end', () => {
    close();
    stream.end();
  });
  stream.on('cancelled', close);
  stream.on('error', close);
  stream.on('close', close);
}

function introduce(request: AdvertiseRequest): { agentId: string; session: string } {
  const { agentId, session } = request;
  if (AGENT_ID.test(agentId) && SESSION.test(session)) return { agentId, session };
  throw new FurrowError('invalid', 'BEAT_INVALID', 'a beat names its agent and its session');
}

function answerBeat(options: AgentServiceOptions, request: AdvertiseRequest): AdvertiseResponse {
  const { office, leaseTtlMs } = options;
  const { farm } = office;
  const { releasedGrant, drain } = office.beat(beatFromWire(request));
  return {
    farmId: farm.farmId,
    epoch: farm.epoch,
    beat: request.beat,
    stop: [],
    releasedGrant,
    drain,
    leaseTtlMs,
  };
}

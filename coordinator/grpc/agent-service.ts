/** AgentService: enrolment, and the stream that is an agent's only heartbeat. */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { FurrowError } from '../../kit/furrow-error.ts';
import { VERSION } from '../../kit/version.ts';
import { OPEN_TERMS, policyFromTerms } from '../../proto/agent-policy.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
  AgentServiceServer,
  Capacity,
  EnrolAgentRequest,
  EnrolAgentResponse,
  JournalPlace,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { AgentPolicy } from '../domain/agent-policy.ts';
import type { Principal } from '../access.ts';
import type { Farm } from '../domain/farm.ts';
import type { AgentNats, NatsAccess } from '../work/nats-access.ts';
import { AGENT_ID, checkAgentId, checkAgentName } from './agent-names.ts';
import { joinAgent } from './join-agent.ts';
import type { Token } from '../domain/token.ts';
import type { Office } from '../office.ts';
import { asFurrowError, statusOf } from './errors.ts';
import { bidiStreaming, type Gate, unary } from './handlers.ts';
import { say } from './say.ts';
import { beatFromWire, sightingFromWire, tokenToWire, unlessRefused } from './wire.ts';

export interface AgentServiceOptions {
  readonly gate: Gate;
  readonly office: Office;
  readonly leaseTtlMs: number;
  readonly heartbeatMs: number;
  readonly natsUrls: readonly string[];
  readonly natsAccess: NatsAccess;
  /** HOST:PORT of the coordinators that are known, this one first. */
  readonly addresses: () => readonly string[];
  readonly blobUrl: () => string;
  /** As of the last commit; the same object until another is set. */
  readonly policyOf: (agentId: string) => AgentPolicy | undefined;
}

type Stream = ServerDuplexStream<AdvertiseRequest, AdvertiseResponse>;

const SESSION = /^[A-Za-z0-9-]{1,64}$/;

/** The streams that are open, by agent; and the capacities they carried, as they were sent. */
export class AgentStreams {
  readonly #streams = new Map<string, Stream>();
  readonly #capacities = new Map<string, Capacity>();

  attach(agentId: string, stream: Stream): void {
    const before = this.#streams.get(agentId);
    if (before === stream) return;
    this.#streams.set(agentId, stream);
    before?.end();
  }

  /** False when another stream of this agent took its place already. */
  detach(agentId: string, stream: Stream): boolean {
    if (this.#streams.get(agentId) !== stream) return false;
    this.#streams.delete(agentId);
    return true;
  }

  send(agentId: string, response: AdvertiseResponse): void {
    const stream = this.#streams.get(agentId);
    if (stream !== undefined) say(stream, response);
  }

  /** The agent opens another, and says anew who it is and what it has. */
  hangUp(agentId: string): void {
    this.#streams.get(agentId)?.end();
  }

  noteCapacity(agentId: string, capacity: Capacity): void {
    this.#capacities.set(agentId, capacity);
  }

  capacityOf(agentId: string): Capacity | undefined {
    return this.#capacities.get(agentId);
  }
}

/**
 * Says over an agent's stream which attempts must stop, and which to hand back unless they have begun. A
 * beat number of 0 renews nothing.
 */
export function sendOrder(
  streams: AgentStreams,
  options: { readonly farm: Farm; readonly leaseTtlMs: number },
  tokens: { readonly stop: readonly Token[]; readonly retract: readonly Token[] },
  agentId: string,
): void {
  const draining = options.farm.agents.get(agentId)?.draining ?? false;
  streams.send(agentId, {
    farmId: options.farm.farmId,
    epoch: options.farm.epoch,
    beat: 0,
    stop: tokens.stop.map(tokenToWire),
    retract: tokens.retract.map(tokenToWire),
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
    joinAgent: unary(gate, '/furrow.v1.AgentService/JoinAgent', (request, principal) =>
      joinAgent(options, request, principal),
    ),
    enrolAgent: unary(gate, '/furrow.v1.AgentService/EnrolAgent', (request, principal) =>
      enrol(options, request, principal),
    ),
    advertise: bidiStreaming(gate, '/furrow.v1.AgentService/Advertise', (stream, principal) =>
      serve(options, streams, stream, principal),
    ),
  };
}

async function enrol(
  options: AgentServiceOptions,
  request: EnrolAgentRequest,
  principal: Principal,
): Promise<EnrolAgentResponse> {
  const { agentId, name, version, machineFingerprint } = request;
  checkAgentId(agentId);
  checkAgentName(name);
  mustBe(principal, agentId);
  await options.office.hear(
    sightingFromWire(request.seen, options.office.farm.farmId),
    `agent ${agentId}`,
  );
  const identity = { agentId, name, version, machineFingerprint, coordinatorVersion: VERSION };
  unlessRefused(await options.office.submit({ type: 'EnrolAgent', ...identity }));
  return {
    farmId: options.office.farm.farmId,
    natsUrls: options.natsUrls,
    ...(await natsFor(options, agentId)),
    blobUrl: options.blobUrl(),
    leaseTtlMs: options.leaseTtlMs,
    heartbeatMs: options.heartbeatMs,
    place: placeOf(options.office),
  };
}

/** An agent speaks for itself alone. FurrowError: forbidden OTHER_AGENT. */
function mustBe({ caller, agentId }: Principal, wanted: string): void {
  if (caller === 'admin' || agentId === wanted) return;
  const message = `this is the key of agent ${agentId}, which cannot speak for ${wanted}`;
  throw new FurrowError('forbidden', 'OTHER_AGENT', message);
}

function natsFor({ office, natsAccess }: AgentServiceOptions, agentId: string): Promise<AgentNats> {
  const { natsPublicKey = '' } = office.farm.agents.get(agentId)?.key ?? {};
  return natsAccess.forAgent(agentId, natsPublicKey);
}

function serve(
  options: AgentServiceOptions,
  streams: AgentStreams,
  stream: Stream,
  principal: Principal,
): void {
  const { office, gate } = options;
  let who: { readonly agentId: string; readonly session: string } | undefined;
  const renewal = new Renewal(options);
  /** The policy that this stream has told. */
  let told: AgentPolicy | undefined;
  stream.on('data', (request: AdvertiseRequest) => {
    try {
      who ??= introduce(request, principal);
      if (who.agentId !== request.agentId || who.session !== request.session) {
        throw new FurrowError('invalid', 'BEAT_MIXED', 'a stream carries beats of one session');
      }
      const policy = options.policyOf(request.agentId) ?? OPEN_TERMS;
      const news = policy === told ? undefined : policy;
      const natsJwt = renewal.take(request.agentId);
      const reply = { ...answerBeat(options, request, news), natsJwt };
      told = policy;
      streams.attach(request.agentId, stream);
      if (request.capacity !== undefined) streams.noteCapacity(request.agentId, request.capacity);
      say(stream, reply);
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

function introduce(
  request: AdvertiseRequest,
  principal: Principal,
): { agentId: string; session: string } {
  const { agentId, session } = request;
  mustBe(principal, agentId);
  if (AGENT_ID.test(agentId) && SESSION.test(session)) return { agentId, session };
  throw new FurrowError('invalid', 'BEAT_INVALID', 'a beat names its agent and its session');
}

/** New credentials for NATS on a stream, when half the life of the last ones is over. */
class Renewal {
  readonly #options: AgentServiceOptions;
  #dueMs: number;
  #ready: string | undefined;

  /** Whoever opens a stream has just enrolled, and got some. */
  constructor(options: AgentServiceOptions) {
    this.#options = options;
    this.#dueMs = this.#nextMs();
  }

  /** They are made beside; a beat later they are there. */
  take(agentId: string): string | undefined {
    const jwt = this.#ready;
    this.#ready = undefined;
    if (performance.now() < this.#dueMs) return jwt;
    this.#dueMs = this.#nextMs();
    natsFor(this.#options, agentId).then(
      ({ natsJwt }) => (this.#ready = natsJwt),
      (error: unknown) =>
        this.#options.gate.log.warn({ agent: agentId, err: error }, 'no new credentials for NATS'),
    );
    return jwt;
  }

  #nextMs(): number {
    return performance.now() + (this.#options.natsAccess.credentialsMs ?? Infinity) / 2;
  }
}

/** `policy`: what the agent does not know yet. */
function answerBeat(
  options: AgentServiceOptions,
  request: AdvertiseRequest,
  policy: AgentPolicy | undefined,
): AdvertiseResponse {
  const { office, leaseTtlMs } = options;
  const { farm } = office;
  const { releasedGrant, drain, probeAgain } = office.beat(beatFromWire(request));
  return {
    farmId: farm.farmId,
    epoch: farm.epoch,
    beat: request.beat,
    stop: [],
    retract: [],
    releasedGrant,
    drain,
    probeAgain: probeAgain || undefined,
    leaseTtlMs,
    place: placeOf(office),
    policy: policy && policyFromTerms(policy),
  };
}

function placeOf({ farm, place }: Office): JournalPlace {
  return { farmId: farm.farmId, ...place };
}

/** The control plane of one coordinator: the streams of its agents, as coordinator/grpc has them. */
import type { Committed } from '../../coordinator/ports.ts';
import type { StopOrder } from '../../coordinator/domain/decision.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { beatFromWire, tokenToWire } from '../../coordinator/grpc/wire.ts';
import type { Office } from '../../coordinator/office.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type { SimStream } from './network.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import { Violation } from './violation.ts';
import type { Witness } from './witness.ts';

export interface SimAgentServiceOptions {
  readonly timeline: Timeline;
  readonly witness: Witness;
  readonly process: SimProcess;
  readonly office: Office;
  /** How fast this machine's clock runs at most. */
  readonly fastestRate: number;
  /** Runs what may find a broken promise. */
  readonly guarded: (run: () => void) => void;
}

/** A shorter stall of its own goes by unseen. */
const UNSEEN_STALL_MS = 1_300;
const REMEMBERED_BEATS = 20;

interface TakenBeat {
  readonly awakeMs: number;
  readonly tokens: ReadonlySet<Token>;
  /** What the agent's leases were then, decided or committed. */
  readonly leases: ReadonlySet<Token>;
}

export class SimAgentService {
  readonly #options: SimAgentServiceOptions;
  readonly #streams = new Map<string, { readonly stream: SimStream; readonly session: string }>();
  /** By agent: its last beats, newest first, and how long this process had then been awake. */
  readonly #beats = new Map<string, TakenBeat[]>();

  constructor(options: SimAgentServiceOptions) {
    this.#options = options;
  }

  /** A beat came in on a stream whose end 1 is ours. */
  onBeat(stream: SimStream, request: AdvertiseRequest): void {
    const { office, process, witness, guarded, timeline } = this.#options;
    const { agentId, session } = request;
    try {
      const beat = beatFromWire(request);
      const { releasedGrant, drain } = office.beat(beat);
      const { awakeMs } = process;
      const tokens = new Set(beat.inventory.map(({ token }) => token));
      const leases = new Set(office.farm.agents.get(agentId)?.leases);
      const beats = [{ awakeMs, tokens, leases }, ...(this.#beats.get(agentId) ?? [])];
      this.#beats.set(agentId, beats.slice(0, REMEMBERED_BEATS));
      const before = this.#streams.get(agentId);
      this.#streams.set(agentId, { stream, session });
      if (before !== undefined && before.stream !== stream) before.stream.close(1);
      stream.send(1, this.#response({ beat: request.beat, releasedGrant, drain, stop: [] }));
    } catch (error) {
      if (!(error instanceof FurrowError)) throw error;
      if (error.reason === 'SESSION_FENCED') guarded(() => witness.onFenced(agentId, session));
      timeline.note(`${process.name} refuses a beat: ${messageOf(error)}`);
      stream.close(1);
    }
  }

  onStreamClosed(stream: SimStream, agentId: string): void {
    const open = this.#streams.get(agentId);
    if (open?.stream !== stream) return;
    this.#streams.delete(agentId);
    const { office } = this.#options;
    const closed = { type: 'StreamClosed', agentId, session: open.session } as const;
    // Whoever does not lead any more has nothing to note.
    office.submit(closed).catch(() => {});
  }

  /** Its stream is closed from here: it opens another. */
  hangUp(agentId: string): void {
    const stream = this.#streams.get(agentId)?.stream;
    if (stream === undefined) return;
    stream.close(1);
    this.onStreamClosed(stream, agentId);
  }

  stop(order: StopOrder): void {
    const { office, witness, guarded } = this.#options;
    guarded(() => witness.onStopSaid(order));
    const drain = office.farm.agents.get(order.agentId)?.draining ?? false;
    const stop = order.tokens.map(tokenToWire);
    // A beat number of 0 renews nothing.
    const response = this.#response({ beat: 0, releasedGrant: 0, drain, stop });
    this.#streams.get(order.agentId)?.stream.send(1, response);
  }

  retract(order: StopOrder): void {
    const { office } = this.#options;
    const drain = office.farm.agents.get(order.agentId)?.draining ?? false;
    const retract = order.tokens.map(tokenToWire);
    const response = this.#response({ beat: 0, releasedGrant: 0, drain, stop: [], retract });
    this.#streams.get(order.agentId)?.stream.send(1, response);
  }

  /** Who was heard within the lease, by our own waking time, must not lose it. */
  checkExpiries({ facts }: Committed): void {
    const { office, process, fastestRate } = this.#options;
    const { leaseTtlMs } = office.liveness;
    for (const fact of facts) {
      if (fact.type !== 'LeaseEnded' || !/heartbeat/.test(fact.message)) continue;
      // One that came after it was decided does not count.
      const beats = this.#beats.get(fact.agentId);
      const heard = beats?.find(({ leases }) => leases.has(fact.token));
      if (heard?.tokens.has(fact.token) !== true) continue;
      const silentMs = (process.awakeMs - heard.awakeMs) * fastestRate;
      if (silentMs + UNSEEN_STALL_MS >= leaseTtlMs) continue;
      const message = `${fact.agentId} was heard ${Math.round(silentMs)} ms ago: ${fact.message}`;
      throw new Violation('expired-while-renewed', message);
    }
  }

  #response(
    said: Pick<AdvertiseResponse, 'beat' | 'releasedGrant' | 'drain' | 'stop'> &
      Partial<Pick<AdvertiseResponse, 'retract'>>,
  ): AdvertiseResponse {
    const { farm, liveness, place } = this.#options.office;
    const { farmId, epoch } = farm;
    const { leaseTtlMs } = liveness;
    return { farmId, epoch, leaseTtlMs, place: { farmId, ...place }, retract: [], ...said };
  }
}

/**
 * One run of an agent's program: the real AgentCore, with a session and a work plane in front of it that
 * behave like the real ones.
 */
import { AgentCore } from '../../agent/agent-core.ts';
import { assignmentsOf } from '../../agent/assignment.ts';
import { FarmSeen } from '../../agent/farm-seen.ts';
import { sessionStart } from '../../agent/session-start.ts';
import type { StateFile } from '../../agent/state-file.ts';
import { whyNotFitting } from '../../agent/fits.ts';
import type { OutboxStorage } from '../../agent/outbox.ts';
import { tokenFromWire } from '../../coordinator/grpc/wire.ts';
import { CoordinatorRoute, LEADER_DETAIL, NOT_LEADER } from '../../kit/coordinator-route.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { grantSubject, REIGN_SUBJECT, RESULT_SUBJECTS } from '../../proto/subjects.ts';
import type {
  AdvertiseRequest,
  AdvertiseResponse,
  Token,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import type {
  Grant,
  GrantReply,
  Reign,
  Result,
  ResultBatch,
  ResultReply,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { NATS, type SimStream } from './network.ts';
import type { SimAgentOptions } from './sim-agent.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { SimProcess } from './sim-process.ts';
import { SimUnits } from './sim-units.ts';

const HEARTBEAT_MS = 3_000;
const CHANGE_PAUSE_MS = 50;
const SILENCE_LIMIT_MS = 10_000;
const RESULT_TIMEOUT_MS = 15_000;
const FIRST_RECONNECT_MS = 200;
const LONGEST_RECONNECT_MS = 5_000;
const CALL_TIMEOUT_MS = 5_000;
const NATS_CHECK_MS = 2_000;
const UNREACHABLE = new FurrowError('unavailable', 'FARM_UNREACHABLE', 'simulated: nobody answers');

/** What outlives the program. */
export interface MachineSide {
  readonly storage: OutboxStorage;
  readonly running: Set<Token>;
  readonly seenFile: StateFile;
  readonly startFile: StateFile;
  readonly offered: (batch: ResultBatch) => void;
}

/** One run of the program, from start to its end: one session. */
export class AgentRun {
  readonly process: SimProcess;
  readonly #options: SimAgentOptions;
  readonly #session: string;
  readonly #machine: MachineSide;
  readonly #core: AgentCore;
  readonly #grantsSeen = new Set<number>();
  readonly #startedAtMs: number;
  #stream: SimStream | undefined;
  #streamTo = '';
  #cancelBeat: () => void = () => {};
  #isBeatSoon = false;
  #lastSentMs = -Infinity;
  #oldestUnansweredMs: number | undefined;
  #pauseMs = FIRST_RECONNECT_MS;
  #saidCapacity = false;
  #natsDownSinceMs: number | undefined;
  #subscribedAt: SimProcess | undefined;
  readonly #route: CoordinatorRoute;
  readonly #seen: FarmSeen;

  constructor(
    options: SimAgentOptions,
    process: SimProcess,
    session: string,
    machine: MachineSide,
  ) {
    this.#options = options;
    this.process = process;
    this.#session = session;
    this.#machine = machine;
    this.#startedAtMs = sessionStart(machine.startFile, process.clock.wallMs(), options.log);
    const { capacity, prng, farmId, leaseTtlMs, units, addresses } = options;
    this.#route = new CoordinatorRoute(prng.rotated(addresses).join());
    this.#seen = new FarmSeen(machine.seenFile, options.log, () => process.clock.monotonicMs());
    options.witness.onSession(options.agentId, session);
    this.#core = new AgentCore({
      farmId,
      leaseTtlMs,
      epochSeen: this.#seen.highestEpochOf(farmId),
      epochRose: (epoch) => this.#seen.noteEpoch(farmId, epoch),
      clock: process.clock,
      random: () => prng.next(),
      fits: (demand, beside, gpuIds) =>
        prng.chance(units.refusal)
          ? 'simulated: its owner plays'
          : whyNotFitting(demand, beside, gpuIds, capacity),
      executor: new SimUnits({
        ...options,
        process,
        running: machine.running,
        coordinator: () => options.findCoordinator(this.#route.address),
      }),
      storage: machine.storage,
      channel: { offer: (results) => this.#offer(results) },
      changed: () => this.#beatSoon(),
      complain: () => {},
    });
    void this.#core.restore().then(() => {
      this.#connect();
      this.#checkNats();
    });
  }

  get isIdle(): boolean {
    return this.process.isRunning && this.#core.empty;
  }

  leave(): void {
    this.#core.leave();
  }

  // --- control plane, as agent/session.ts does it ---------------------------------------------

  #connect(): void {
    const { network, agentId, findCoordinator } = this.#options;
    const { address } = this.#route;
    const coordinator = findCoordinator(address);
    if (coordinator === undefined || !network.isOpen(agentId, coordinator.machine)) {
      return this.#turnAway(UNREACHABLE, address);
    }
    let isOpen = true;
    const giveUp = this.process.after(CALL_TIMEOUT_MS, 'enrolment times out', () => {
      isOpen = false;
      this.#turnAway(UNREACHABLE, address);
    });
    network.send(agentId, coordinator.machine, coordinator.process, 'enrol', () => {
      void coordinator.enrol(agentId, this.#seen.place).then((answer) => {
        network.send(coordinator.machine, agentId, this.process, 'enrolled', () => {
          if (!isOpen) return;
          isOpen = false;
          giveUp();
          if (answer instanceof FurrowError) return this.#turnAway(answer, address);
          this.#seen.note(answer);
          this.#openStream(coordinator, address);
        });
      });
    });
  }

  /** As the real session does: to the next coordinator at once, or after a pause when all were asked. */
  #turnAway(error: FurrowError, address: string): void {
    if (this.#route.failed(error, address) !== 'now') return this.#reconnectLater();
    this.process.after(1, 'asks another', () => this.#connect());
  }

  #reconnectLater(): void {
    const { prng } = this.#options;
    const pauseMs = this.#pauseMs * prng.between(0.5, 1);
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RECONNECT_MS);
    this.process.clock.after(pauseMs, () => this.#connect());
  }

  #openStream(coordinator: SimCoordinator, address: string): void {
    const { network, agentId } = this.#options;
    const stream: SimStream = network.connect(
      {
        machine: agentId,
        process: this.process,
        onMessage: (message) => this.#answered(stream, address, message as AdvertiseResponse),
        onClosed: () => this.#lost(stream, address),
      },
      {
        machine: coordinator.machine,
        process: coordinator.process,
        onMessage: (message) => coordinator.onBeat(stream, message as AdvertiseRequest),
        onClosed: () => coordinator.onStreamClosed(stream, agentId),
      },
    );
    this.#stream = stream;
    this.#streamTo = address;
    this.#saidCapacity = false;
    this.#oldestUnansweredMs = undefined;
    this.#beat();
  }

  #lost(stream: SimStream, address: string, error = UNREACHABLE): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#cancelBeat();
    this.#turnAway(error, address);
  }

  /** The owner of the machine, or chance, breaks the connection. */
  breakStream(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    stream.close(0);
    this.#lost(stream, this.#streamTo);
  }

  #beatSoon(): void {
    if (this.#isBeatSoon || this.#stream === undefined) return;
    this.#isBeatSoon = true;
    const nowMs = this.process.clock.monotonicMs();
    this.#scheduleBeat(Math.max(0, this.#lastSentMs + CHANGE_PAUSE_MS - nowMs));
  }

  #scheduleBeat(delayMs: number): void {
    this.#cancelBeat();
    this.#cancelBeat = this.process.clock.after(delayMs, () => this.#beat());
  }

  #beat(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const nowMs = this.process.clock.monotonicMs();
    const silentMs = nowMs - (this.#oldestUnansweredMs ?? nowMs);
    if (silentMs > SILENCE_LIMIT_MS) return this.breakStream();
    const { agentId, capacity, prng } = this.#options;
    this.#isBeatSoon = false;
    this.#lastSentMs = nowMs;
    this.#oldestUnansweredMs ??= nowMs;
    const request: AdvertiseRequest = {
      agentId,
      session: this.#session,
      machineFingerprint: `machine-of-${agentId}`,
      name: agentId,
      capacity: this.#saidCapacity ? undefined : capacity,
      workPlaneUp: this.#core.workPlaneUp,
      sessionStartedAtMs: this.#startedAtMs,
      ...this.#core.nextBeat(),
    };
    this.#saidCapacity = true;
    stream.send(0, request);
    this.#scheduleBeat(HEARTBEAT_MS * prng.between(0.9, 1.1));
  }

  #answered(stream: SimStream, address: string, response: AdvertiseResponse): void {
    if (this.#stream !== stream) return;
    this.#route.served(address);
    this.#pauseMs = FIRST_RECONNECT_MS;
    this.#oldestUnansweredMs = undefined;
    const taken = this.#core.beatAnswered(response);
    if (taken.state !== 'taken') return this.breakStream();
    this.#seen.note(response.place);
    const { witness, agentId } = this.#options;
    for (const token of response.retract) {
      witness.custody.onRetracted(agentId, tokenFromWire(token));
    }
  }

  // --- work plane, as agent/work-plane.ts does it ---------------------------------------------

  /** The client library's pings: down is noticed after a while, up at once. */
  #checkNats(): void {
    const { network, agentId } = this.#options;
    const isUp = network.nats.isRunning && network.isOpen(agentId, NATS);
    const nowMs = this.process.clock.monotonicMs();
    this.#natsDownSinceMs = isUp ? undefined : (this.#natsDownSinceMs ?? nowMs);
    if (isUp) {
      this.#subscribe();
      this.#core.setWorkPlaneUp(true);
    } else if (nowMs - (this.#natsDownSinceMs ?? nowMs) > 2 * NATS_CHECK_MS) {
      this.#core.setWorkPlaneUp(false);
    }
    this.process.clock.after(NATS_CHECK_MS, () => this.#checkNats());
  }

  /** Once for each run of nats-server: it forgets its clients. */
  #subscribe(): void {
    const { network, agentId } = this.#options;
    if (this.#subscribedAt === network.nats) return;
    this.#subscribedAt = network.nats;
    const subject = grantSubject(agentId, this.#session);
    network.subscribe(subject, {
      machine: agentId,
      process: this.process,
      handler: (payload, reply) => {
        const answer = this.#onGrant(payload as Grant);
        if (answer !== null) reply(answer);
      },
    });
    network.subscribe(REIGN_SUBJECT, {
      machine: agentId,
      process: this.process,
      handler: (payload) => this.#reignAnnounced(payload as Reign),
    });
  }

  /** The coordinator at hand may not know that it was deposed, and go on answering. */
  #reignAnnounced({ farmId, epoch, grpcAddress }: Reign): void {
    if (epoch <= this.#seen.highestEpochOf(farmId) || this.#stream === undefined) return;
    const details = { [LEADER_DETAIL]: grpcAddress };
    const error = new FurrowError('unavailable', NOT_LEADER, 'another leads', { details });
    const stream = this.#stream;
    stream.close(0);
    this.#lost(stream, this.#streamTo, error);
  }

  #onGrant(grant: Grant): GrantReply | null {
    const { witness, agentId, capacity, fail } = this.#options;
    // What starts in the same moment is told to the witness by the executor: hold it back until then.
    const isNew = grant.number > Math.max(0, ...this.#grantsSeen);
    const leases = grant.steps.flatMap((share) => {
      const assignments = assignmentsOf(share);
      const [first] = assignments;
      if (first !== undefined && isNew) {
        witness.custody.onSlots(agentId, first.slotKey, share.slots);
      }
      return assignments;
    });
    const reply = this.#core.handleGrant(grant);
    if (reply === null || reply.refusedAll !== '' || this.#grantsSeen.has(grant.number))
      return reply;
    this.#grantsSeen.add(grant.number);
    const refused = new Set(reply.refused.map(({ token }) => tokenFromWire(token)));
    try {
      for (const { token: wireToken, demand, gpuIds, slotKey } of leases) {
        const token = tokenFromWire(wireToken);
        const isRunning = witness.custody.holds(agentId, token);
        if (refused.has(token) || isRunning) continue;
        const held = { state: 'waiting', demand, gpuIds, slotKey } as const;
        witness.custody.onHeld(agentId, token, held, capacity);
      }
    } catch (error) {
      fail(error);
    }
    return reply;
  }

  #offer(results: readonly Result[]): Promise<ResultReply | null> {
    const { network, agentId } = this.#options;
    const payload = {
      agentId,
      session: this.#session,
      results,
      successes: [],
      seen: this.#seen.place,
    };
    this.#machine.offered(payload);
    return new Promise((resolve) => {
      network.request<ResultReply>(
        agentId,
        this.process,
        RESULT_SUBJECTS,
        payload,
        RESULT_TIMEOUT_MS,
        (answer) => resolve(answer.state === 'answered' ? answer.value : null),
      );
    });
  }
}

/**
 * Many agents in one process, as light as they can be: each has a connection and a stream of its own,
 * enrols, beats and comes back as an agent does, takes grants and says at once that the unit is done.
 * Frames are written by hand, because ten thousand gRPC clients would cost more than what is measured.
 *
 * Told by its parent what to be (`Orders`); tells it how many are online, and of every grant.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NatsError, type Msg, type NatsConnection } from 'nats';
import { connectNats } from '../../kit/nats-connection.ts';
import { VERSION } from '../../kit/version.ts';
import {
  AdvertiseRequest,
  Capacity,
  EnrolAgentRequest,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import { BareHttp2Client, headerBlock } from './bare-http2-client.ts';
import { Grant, GrantReply, ResultBatch } from '../../proto/gen/furrow/work/v1/work.ts';
import { grantSubject, resultSubject } from '../../proto/subjects.ts';

export interface Orders {
  /** HOST:PORT of the coordinator. */
  readonly grpc: string;
  readonly nats: string;
  readonly token: string;
  /** Part of the agents' ids: no two processes have the same. */
  readonly prefix: string;
  readonly count: number;
  readonly heartbeatMs: number;
}

export type Told =
  /** `atNs`: by the machine's monotonic clock, which all its processes share. */
  | { readonly kind: 'granted'; readonly jobId: string; readonly atNs: string }
  /** Beats that the coordinator answered so far, and agents with a stream that it answers. */
  | { readonly kind: 'answered'; readonly beats: number; readonly online: number }
  | { readonly kind: 'failed'; readonly message: string };

const TELL_EVERY_MS = 100;
/** Agents of one process that start at once. */
const CONNECT_AT_ONCE = 64;
/** As an agent's channel does, beside the beats. */
const PING_EVERY_MS = 5_000;
/** As agents do: the pauses between their tries grow, and are not all alike. */
const FIRST_RECONNECT_MS = 200;
const LONGEST_RECONNECT_MS = 4_000;
/** Free memory moves by a step worth telling about so often. */
const BEATS_PER_CAPACITY = 10;
/** An agent tells of a change after this pause. */
const CHANGE_PAUSE_MS = 50;
const RESULT_TIMEOUT_MS = 15_000;
const RETRY_PAUSE_MS = 500;
const SESSION = 'bench';

const CAPACITY: Capacity = {
  ...Capacity.fromPartial({}),
  cpuMillis: 8_000,
  ramTotalBytes: 32 * 2 ** 30,
  ramAvailableBytes: 24 * 2 ** 30,
  scratchFreeBytes: 500 * 2 ** 30,
  gpus: [],
  attributes: ['tool:command', 'tool:ffmpeg', 'encoder:libx264', 'encoder:libx265'],
  toolchain: { furrow: VERSION, node: '20', ffmpeg: '5.1' },
  encoderSessions: 0,
  maxUnits: 8,
};

const NO_REFUSAL = GrantReply.encode({ refused: [], refusedAll: '' }).finish();

/** An answer is one frame, and comes as one piece but for freak chances. */
let beatsAnswered = 0;
let agentsOnline = 0;

class SimulatedAgent {
  readonly #door: Door;
  readonly #heartbeatMs: number;
  readonly #id: string;
  readonly #nats: NatsConnection;
  /** Undefined while it has no stream. */
  #send: ((beat: Uint8Array) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #beats = 0;
  #grantsHandled = 0;

  constructor(id: string, door: Door, heartbeatMs: number, nats: NatsConnection) {
    this.#id = id;
    this.#door = door;
    this.#heartbeatMs = heartbeatMs;
    this.#nats = nats;
  }

  /** Settles when it is online for the first time; comes back by itself when it loses its connection. */
  async start(): Promise<void> {
    this.#nats.subscribe(grantSubject(this.#id, SESSION), {
      callback: (error, message) => {
        if (error === null) this.#granted(message);
      },
    });
    await new Promise<void>((fulfil) => void this.#serve(fulfil));
  }

  async #serve(online: () => void): Promise<never> {
    let pauseMs = FIRST_RECONNECT_MS;
    for (;;) {
      await this.#connect(() => {
        pauseMs = FIRST_RECONNECT_MS;
        online();
      });
      await sleep(pauseMs * (0.5 + Math.random() / 2));
      pauseMs = Math.min(pauseMs * 2, LONGEST_RECONNECT_MS);
    }
  }

  /** Settles when the connection is lost, or the coordinator refuses. */
  async #connect(online: () => void): Promise<void> {
    const { host, port, headers } = this.#door;
    let isOnline = false;
    let pinging: NodeJS.Timeout | undefined;
    await new Promise<void>((fulfil) => {
      const client = new BareHttp2Client(
        { host, port },
        {
          data: (stream) => {
            if (stream === enrolment) {
              advertising = this.#advertise(client);
              return;
            }
            beatsAnswered += 1;
            if (isOnline) return;
            isOnline = true;
            agentsOnline += 1;
            online();
          },
          // Refused, by a disk that is slow for a second or while nobody leads: it tries again.
          ended: (stream) => {
            if (stream === advertising || advertising === undefined) client.close();
          },
          closed: fulfil,
        },
      );
      let advertising: number | undefined;
      pinging = setInterval(() => client.ping(), PING_EVERY_MS);
      const enrolment = client.open(headers.enrol);
      const id = this.#id;
      const request = { agentId: id, name: id, version: VERSION, machineFingerprint: id };
      client.send(enrolment, EnrolAgentRequest.encode(request).finish(), true);
    });
    if (isOnline) agentsOnline -= 1;
    clearInterval(pinging);
    clearTimeout(this.#timer);
    this.#send = undefined;
  }

  #advertise(client: BareHttp2Client): number {
    const stream = client.open(this.#door.headers.advertise);
    this.#send = (beat) => client.send(stream, beat, false);
    this.#beat(CAPACITY);
    // Not all in step with one another.
    this.#schedule(Math.random() * this.#heartbeatMs);
    return stream;
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#beat(this.#beats % BEATS_PER_CAPACITY === 0 ? CAPACITY : undefined);
      this.#schedule(this.#heartbeatMs * (0.9 + Math.random() / 5));
    }, delayMs);
  }

  #beat(capacity: Capacity | undefined): void {
    const body = AdvertiseRequest.encode({
      agentId: this.#id,
      session: SESSION,
      beat: (this.#beats += 1),
      machineFingerprint: this.#id,
      capacity,
      inventory: [],
      grantsHandled: this.#grantsHandled,
      workPlaneUp: true,
      leaving: false,
      name: this.#id,
      sessionStartedAtMs: 0,
    }).finish();
    this.#send?.(body);
  }

  #granted(message: Msg): void {
    const atNs = String(process.hrtime.bigint());
    const grant = Grant.decode(message.data);
    this.#grantsHandled = grant.number;
    message.respond(NO_REFUSAL);
    for (const { jobId } of grant.steps) tell({ kind: 'granted', jobId, atNs });
    const batch = ResultBatch.encode({
      agentId: this.#id,
      session: SESSION,
      results: [],
      successes: grant.steps.flatMap(({ jobId, step, runs }) =>
        runs.map(({ firstToken, firstUnit, count }) => {
          const offsets = Array.from({ length: count }, (_, offset) => offset);
          return {
            jobId,
            step,
            epoch: firstToken?.epoch ?? 0,
            firstCounter: firstToken?.counter ?? 0,
            counters: offsets,
            units: offsets.map((offset) => firstUnit + offset),
            runMs: offsets.map(() => 0),
            peakRamMib: [],
            peakVramMib: [],
          };
        }),
      ),
    });
    void this.#report(batch.finish());
    this.#schedule(CHANGE_PAUSE_MS);
  }

  /** Until it is answered: a result is never given up. */
  async #report(batch: Uint8Array): Promise<void> {
    for (;;) {
      try {
        await this.#nats.request(resultSubject(this.#id), batch, { timeout: RESULT_TIMEOUT_MS });
        return;
      } catch (error) {
        if (!(error instanceof NatsError)) return fail(`a result: ${String(error)}`);
      }
      await sleep(RETRY_PAUSE_MS);
    }
  }
}

/** The coordinator's, with the headers of both calls. */
interface Door {
  readonly host: string;
  readonly port: number;
  readonly headers: { readonly enrol: Buffer; readonly advertise: Buffer };
}

function doorOf({ grpc, token }: Orders): Door {
  const { hostname: host, port } = new URL(`http://${grpc}`);
  const headersOf = (method: string): Buffer =>
    headerBlock({
      ':method': 'POST',
      ':scheme': 'http',
      ':path': `/furrow.v1.AgentService/${method}`,
      ':authority': grpc,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
  const headers = { enrol: headersOf('EnrolAgent'), advertise: headersOf('Advertise') };
  return { host, port: Number(port), headers };
}

async function run(orders: Orders): Promise<void> {
  const nats = await connectNats({
    servers: [orders.nats],
    auth: { kind: 'token', token: orders.token },
    name: 'simulated agents',
  });
  setInterval(() => {
    tell({ kind: 'answered', beats: beatsAnswered, online: agentsOnline });
  }, TELL_EVERY_MS);
  const door = doorOf(orders);
  let next = 0;
  const starter = async (): Promise<void> => {
    for (; next < orders.count;) {
      const id = `${orders.prefix}-${(next += 1)}`;
      await new SimulatedAgent(id, door, orders.heartbeatMs, nats).start();
    }
  };
  await Promise.all(Array.from({ length: CONNECT_AT_ONCE }, starter));
}

function tell(told: Told): void {
  process.send?.(told);
}

function fail(message: string): void {
  tell({ kind: 'failed', message });
}

process.once('message', (orders: Orders) => {
  run(orders).catch((error: unknown) => fail(String(error)));
});
// The benchmark is over, or gone.
process.once('disconnect', () => process.exit());

/**
 * The network of the tortured farm: every connection between two parties goes through a front on
 * loopback, which knows who called whom and can cut, hold or slow exactly that. Works without
 * privileges; bytes that are held arrive late, as they do when TCP sends again after a cut.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ownerOf } from './socket-owner.ts';

export type Service = 'grpc' | 'http' | 'nats' | 'route' | 's3';

/** Where a connection ends. */
export interface Place {
  /** Name of the party, such as `c1`. */
  readonly party: string;
  readonly service: Service;
}

/**
 * What becomes of connections.
 * - `refused`: they end, and new ones are refused.
 * - `black-hole`: they stay, new ones are accepted, and nothing arrives either way.
 * - `deaf`: what the caller says does not arrive; answers to earlier words do.
 * - `mute`: what the called one says does not arrive; it hears everything.
 * - `slow`: everything arrives late.
 */
export type Disturbance = 'refused' | 'black-hole' | 'deaf' | 'mute' | 'slow';

/** What becomes of what was held, when the trouble is over. */
export type Aftermath = 'late' | 'reset';

export interface Rule {
  readonly disturbance: Disturbance;
  readonly aftermath: Aftermath;
  /** `from` is empty when nobody known made the connection. */
  matches(from: string, to: Place): boolean;
}

const SLOW_MS = 150;

export class Network {
  readonly #pids: () => ReadonlyMap<string, number>;
  readonly #servers: Server[] = [];
  readonly #wires = new Set<Wire>();
  readonly #rules = new Set<Rule>();

  /** `pids`: of every party that runs now, by name. */
  constructor(pids: () => ReadonlyMap<string, number>) {
    this.#pids = pids;
  }

  /** Opens a front of the place. Answers its port. */
  async front(to: Place, targetPort: number, host = '127.0.0.1', frontPort = 0): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (caller) => {
      this.#accept(caller, to, targetPort);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(frontPort, host, resolve);
    });
    this.#servers.push(server);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return address.port;
  }

  /** Holds until the answer is called. */
  disturb(rule: Rule): () => void {
    this.#rules.add(rule);
    this.#obey();
    return () => {
      if (!this.#rules.delete(rule)) return;
      for (const wire of this.#wires) {
        if (rule.aftermath === 'reset' && rule.matches(wire.from, wire.to)) wire.end();
      }
      this.#obey();
    };
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const wire of this.#wires) wire.end();
  }

  #accept(caller: Socket, to: Place, targetPort: number): void {
    const from = this.#callerOf(caller);
    const wire = new Wire(caller, from, to, targetPort, () => this.#wires.delete(wire));
    this.#wires.add(wire);
    wire.obey(this.#disturbancesOf(wire));
  }

  #callerOf(caller: Socket): string {
    const { remoteAddress, remotePort } = caller;
    if (remoteAddress === undefined || remotePort === undefined) return '';
    const names = new Map([...this.#pids()].map(([name, pid]) => [pid, name]));
    const owner = ownerOf(remoteAddress, remotePort, names.keys());
    return owner === undefined ? '' : (names.get(owner) ?? '');
  }

  #obey(): void {
    for (const wire of this.#wires) wire.obey(this.#disturbancesOf(wire));
  }

  #disturbancesOf({ from, to }: Wire): ReadonlySet<Disturbance> {
    const rules = [...this.#rules].filter((rule) => rule.matches(from, to));
    return new Set(rules.map(({ disturbance }) => disturbance));
  }
}

/** One connection: the caller's socket, and ours to the one that it called. */
class Wire {
  readonly from: string;
  readonly to: Place;
  readonly #caller: Socket;
  readonly #targetPort: number;
  readonly #ended: () => void;
  readonly #requests = new Gate();
  readonly #replies = new Gate();
  #called: Socket | undefined;
  #hasEnded = false;
  #isSlow = false;

  constructor(caller: Socket, from: string, to: Place, targetPort: number, ended: () => void) {
    this.#caller = caller;
    this.from = from;
    this.to = to;
    this.#targetPort = targetPort;
    this.#ended = ended;
    caller.setNoDelay(true);
    caller.on('error', () => undefined);
    void this.#carry();
  }

  obey(disturbances: ReadonlySet<Disturbance>): void {
    if (disturbances.has('refused')) return this.end();
    const holdsAll = disturbances.has('black-hole');
    this.#isSlow = disturbances.has('slow');
    this.#requests.set(!holdsAll && !disturbances.has('deaf'));
    this.#replies.set(!holdsAll && !disturbances.has('mute'));
  }

  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#caller.destroy();
    this.#called?.destroy();
    this.#requests.set(true);
    this.#replies.set(true);
    this.#ended();
  }

  async #carry(): Promise<void> {
    // Rules are applied right after the wire is made.
    await Promise.resolve();
    await this.#requests.opened();
    if (this.#hasEnded) return;
    const called = connect({ port: this.#targetPort, host: '127.0.0.1', allowHalfOpen: true });
    this.#called = called;
    called.setNoDelay(true);
    called.on('error', () => undefined);
    try {
      await Promise.all([
        this.#carryOneWay(this.#caller, called, this.#requests),
        this.#carryOneWay(called, this.#caller, this.#replies),
      ]);
    } catch {
      // One side broke off: so does the other.
    }
    this.end();
  }

  async #carryOneWay(from: Socket, to: Socket, gate: Gate): Promise<void> {
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      if (this.#isSlow) await sleep(SLOW_MS);
      await gate.opened();
      if (this.#hasEnded) return;
      if (!to.write(chunk as Buffer)) await drained(to);
    }
    await gate.opened();
    to.end();
  }
}

/** Lets pass, or makes wait. */
class Gate {
  #isOpen = true;
  #waiting: (() => void)[] = [];

  set(isOpen: boolean): void {
    this.#isOpen = isOpen;
    if (!isOpen) return;
    for (const go of this.#waiting.splice(0)) go();
  }

  async opened(): Promise<void> {
    while (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.once('drain', done).once('close', done);
  });
}

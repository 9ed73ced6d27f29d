/**
 * The connections that are open, of both ports together: so many in all and so many from one address. When
 * all places are taken, whoever was there longest without a token makes room for the newcomer, so that a
 * crowd of strangers keeps nobody out who can show one.
 */
import type { Server, Socket } from 'node:net';
import { addressOf, isLoopbackPeer, peerOf } from './peer.ts';

export interface DoorLimits {
  readonly connections: number;
  readonly perAddress: number;
  /** Of this machine: agents and services by the thousand may share that address. */
  readonly perLoopback: number;
}

export interface DoorOptions extends DoorLimits {
  readonly monotonicMs: () => number;
  /** A connection was refused at the door, or cut to make room. */
  readonly turnedAway: (address: string) => void;
}

interface Visitor {
  readonly peer: string;
  readonly address: string;
  readonly socket: Socket;
  readonly sinceMs: number;
}

/** So long a newcomer has to show a token before he may be sent away for another. */
const TIME_TO_SHOW_MS = 2_000;

export class FrontDoor {
  readonly #options: DoorOptions;
  readonly #visitors = new Map<string, Visitor>();
  /** Those that have shown no token yet, the longest there in front. */
  readonly #strangers = new Map<string, Visitor>();
  readonly #countOf = new Map<string, number>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#visitors.size;
  }

  /** False: the connection is one too many, and to be closed. */
  admit(socket: Socket): boolean {
    const { connections, perAddress, perLoopback, monotonicMs, turnedAway } = this.#options;
    const address = addressOf(socket);
    const most = isLoopbackPeer(address) ? perLoopback : perAddress;
    const hasRoom = (): boolean => this.#visitors.size < connections || this.#makeRoom();
    if ((this.#countOf.get(address) ?? 0) >= most || !hasRoom()) {
      turnedAway(address);
      return false;
    }
    const visitor = { peer: peerOf(socket), address, socket, sinceMs: monotonicMs() };
    this.#visitors.set(visitor.peer, visitor);
    this.#strangers.set(visitor.peer, visitor);
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    socket.once('close', () => this.#leave(visitor));
    return true;
  }

  /** This connection has shown a token of the farm. */
  know(peer: string): void {
    this.#strangers.delete(peer);
  }

  isStranger(peer: string): boolean {
    return this.#strangers.has(peer);
  }

  cut(peer: string): void {
    this.#visitors.get(peer)?.socket.destroy();
  }

  #makeRoom(): boolean {
    const [oldest] = this.#strangers.values();
    const { monotonicMs, turnedAway } = this.#options;
    if (oldest === undefined || monotonicMs() - oldest.sinceMs < TIME_TO_SHOW_MS) return false;
    turnedAway(oldest.address);
    oldest.socket.destroy();
    this.#leave(oldest);
    return true;
  }

  #leave(visitor: Visitor): void {
    const { peer, address } = visitor;
    if (this.#visitors.get(peer) !== visitor) return;
    this.#visitors.delete(peer);
    this.#strangers.delete(peer);
    const left = (this.#countOf.get(address) ?? 1) - 1;
    if (left > 0) this.#countOf.set(address, left);
    else this.#countOf.delete(address);
  }
}

/** From now on only connections that the door admits reach the server, before any handshake. */
export function guardConnections(server: Server, door: FrontDoor): void {
  const takers = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    if (!door.admit(socket)) {
      socket.destroy();
      return;
    }
    for (const take of takers) take.call(server, socket);
  });
}

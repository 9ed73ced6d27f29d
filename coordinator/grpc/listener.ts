/**
 * The port of the gRPC server: takes connections, encrypted unless plain text was asked for, and hands those
 * over that are whole. grpc-js knows neither a limit on connections and handshakes nor a certificate that is
 * renewed while it listens, so the port is ours.
 */
import {
  createServer as createPlainServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { ServerIdentity } from '../../kit/farm-ca.ts';
import { type FrontDoor, guardConnections } from '../limits/front-door.ts';
import { peerOf } from '../limits/peer.ts';

export interface ListenerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined: plain text. */
  readonly identity?: ServerIdentity | undefined;
  readonly door: FrontDoor;
  readonly onConnection: (socket: Socket) => void;
}

const HANDSHAKE_LIMIT_MS = 10_000;
/** The client's preface and the head of its first frame. */
const PREFACE_BYTES = 24 + 9;
const PREFACE_LIMIT_MS = 10_000;
/** Who watches the health of the farm without a token connects anew so often. */
const STRANGER_LIMIT_MS = 2 * 60_000;

export class GrpcListener {
  readonly #server: Server;
  readonly #options: ListenerOptions;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    const { identity, door } = options;
    const onConnection = (socket: Socket): void => {
      limitStranger(socket, door);
      options.onConnection(socket);
    };
    if (identity === undefined) this.#server = createPlainServer({ noDelay: true }, onConnection);
    else {
      const server = createTlsServer({
        key: identity.key,
        cert: identity.certificate,
        minVersion: 'TLSv1.2',
        ALPNProtocols: ['h2'],
        handshakeTimeout: HANDSHAKE_LIMIT_MS,
        noDelay: true,
      });
      server.on('secureConnection', onConnection);
      // A stranger who speaks something else, or hangs up: the socket is gone, and nobody is harmed.
      server.on('tlsClientError', (_error, socket) => socket.destroy());
      this.#server = server;
    }
    guardConnections(this.#server, door);
  }

  /** FurrowError: failed-precondition PORT_IN_USE. */
  static async open(options: ListenerOptions): Promise<GrpcListener> {
    const listener = new GrpcListener(options);
    const { host, port } = options;
    await new Promise<void>((resolve, reject) => {
      listener.#server.once('error', (error) => {
        const message = `cannot listen for gRPC on ${host}:${port}: ${messageOf(error)}; choose another port with --grpc-port`;
        reject(new FurrowError('failed-precondition', 'PORT_IN_USE', message, { cause: error }));
      });
      listener.#server.listen(port, host, resolve);
    });
    return listener;
  }

  /** HOST:PORT, as it is listened on. */
  get address(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** New connections are shown this; those that are open stay. */
  renew(identity: ServerIdentity): void {
    if (this.#options.identity === undefined) return;
    const context = {
      key: identity.key,
      cert: identity.certificate,
      minVersion: 'TLSv1.2' as const,
    };
    (this.#server as TlsServer).setSecureContext(context);
  }

  /** Takes nothing new. What is open is its owner's to end. */
  close(): void {
    this.#server.close();
  }
}

/** Cuts a connection that does not begin to speak HTTP/2, and later one that has shown no token. */
function limitStranger(socket: Socket, door: FrontDoor): void {
  const peer = peerOf(socket);
  let timer = setTimeout(() => {
    if (socket.bytesRead < PREFACE_BYTES) {
      socket.destroy();
      return;
    }
    timer = setTimeout(() => {
      if (door.isStranger(peer)) socket.destroy();
    }, STRANGER_LIMIT_MS).unref();
  }, PREFACE_LIMIT_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

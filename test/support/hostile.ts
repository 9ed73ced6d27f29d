/** Clients that mean harm, or are broken in the worst way. Each ends with `close`, and never throws. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { onTestFinished } from 'vitest';
import { tlsOptionsFor, type Trust } from '../../kit/trust.ts';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly trust: Trust;
}

/** A socket, and whether the other end has let go of it. */
export interface Line {
  readonly socket: Socket;
  /** All that came. */
  heard(): string;
  isOpen(): boolean;
}

/** A bare connection: whatever the port speaks, nothing of it is said. */
export function plainLine({ host, port }: Target): Line {
  return lineOf(connect({ host, port }));
}

/** After the handshake. */
export function secureLine({ host, port, trust }: Target, protocols: string[] = []): Line {
  if (trust.state === 'plaintext') return lineOf(connect({ host, port }));
  return lineOf(connectTls({ host, port, ...tlsOptionsFor(trust), ALPNProtocols: protocols }));
}

function lineOf(socket: Socket): Line {
  let heard = '';
  let isOpen = true;
  socket.on('error', () => {});
  socket.on('data', (bytes) => (heard += bytes.toString('latin1')));
  socket.on('close', () => (isOpen = false));
  onTestFinished(() => void socket.destroy());
  return { socket, heard: () => heard, isOpen: () => isOpen };
}

export interface HostileSession {
  readonly session: ClientHttp2Session;
  isOpen(): boolean;
  /** Begins a call; nothing that is answered is read. */
  call(path: string, token?: string, headers?: Readonly<Record<string, string>>): ClientHttp2Stream;
}

export function hostileSession({ host, port, trust }: Target): HostileSession {
  const scheme = trust.state === 'plaintext' ? 'http' : 'https';
  const session = connectHttp2(`${scheme}://${host}:${port}`, {
    ...tlsOptionsFor(trust),
    // Mebibytes: an attacker does not spare himself.
    maxSessionMemory: 1_000,
  });
  let isOpen = true;
  session.on('error', () => {});
  session.on('close', () => (isOpen = false));
  onTestFinished(() => session.destroy());
  return {
    session,
    isOpen: () => isOpen,
    call: (path, token, headers = {}) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        te: 'trailers',
        'content-type': 'application/grpc',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...headers,
      });
      stream.on('error', () => {});
      stream.pause();
      return stream;
    },
  };
}

/** A gRPC message in its frame; `lengthBytes` may lie. */
export function framed(message: Uint8Array, lengthBytes = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(lengthBytes, 1);
  return Buffer.concat([head, message]);
}

export interface ProcessSize {
  readonly residentBytes: number;
  readonly openFiles: number;
}

export function sizeOfProcess(pid: number): ProcessSize {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const residentBytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  return { residentBytes, openFiles: readdirSync(`/proc/${pid}/fd`).length };
}

/**
 * What every RPC has around it: the question whether the caller may, and the translation of errors.
 * Services are plain async functions inside.
 */
import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerDuplexStream,
  ServerReadableStream,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { Access, Principal } from '../access.ts';
import { type GuardedRpc, RPC_DOORS } from '../doors.ts';
import { asFurrowError, statusOf } from './errors.ts';

export interface Gate {
  readonly access: Pick<Access, 'authorise'>;
  readonly log: Logger;
}

/** Sends one message; settles when the caller's flow control has room for the next. */
export type Send<T> = (message: T) => Promise<void>;

const ADMIT_AGAIN_MS = 2_000;

export function unary<Request, Response>(
  gate: Gate,
  rpc: GuardedRpc,
  answer: (request: Request, principal: Principal) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const run = async (): Promise<Response> => {
      const principal = admit(gate, rpc, call.metadata);
      return answer(call.request, principal);
    };
    run().then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(statusOf(noted(gate, thrown))),
    );
  };
}

export function clientStreaming<Request, Response>(
  gate: Gate,
  rpc: GuardedRpc,
  answer: (
    stream: ServerReadableStream<Request, Response>,
    principal: Principal,
  ) => Promise<Response>,
): handleClientStreamingCall<Request, Response> {
  return (call, callback) => {
    const run = async (): Promise<Response> => {
      return answer(call, admit(gate, rpc, call.metadata));
    };
    run().then(
      (response) => callback(null, response),
      (thrown: unknown) => callback(statusOf(noted(gate, thrown))),
    );
  };
}

export function serverStreaming<Request, Response>(
  gate: Gate,
  rpc: GuardedRpc,
  answer: (
    request: Request,
    send: Send<Response>,
    signal: AbortSignal,
    principal: Principal,
  ) => Promise<void>,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const closing = new AbortController();
    call.on('cancelled', () => closing.abort());
    let admittedMs = performance.now();
    const send: Send<Response> = async (message) => {
      // Who watches does so for hours: a token that was revoked meanwhile, or has expired, shows no more.
      if (performance.now() - admittedMs >= ADMIT_AGAIN_MS) {
        admit(gate, rpc, call.metadata);
        admittedMs = performance.now();
      }
      if (closing.signal.aborted || call.write(message)) return;
      await drained(call, closing.signal);
    };
    const run = async (): Promise<void> => {
      const principal = admit(gate, rpc, call.metadata);
      await answer(call.request, send, closing.signal, principal);
    };
    run().then(
      () => call.end(),
      (thrown: unknown) => call.emit('error', statusOf(noted(gate, thrown))),
    );
  };
}

export function bidiStreaming<Request, Response>(
  gate: Gate,
  rpc: GuardedRpc,
  serve: (stream: ServerDuplexStream<Request, Response>, principal: Principal) => void,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    try {
      serve(call, admit(gate, rpc, call.metadata));
    } catch (thrown) {
      call.emit('error', statusOf(noted(gate, thrown)));
    }
  };
}

function admit(gate: Gate, rpc: GuardedRpc, metadata: Metadata): Principal {
  const authorization = metadata.get('authorization')[0]?.toString();
  const decision = gate.access.authorise({ authorization }, RPC_DOORS[rpc]);
  if (decision.state === 'allowed') return decision.principal;
  throw new FurrowError(decision.code, decision.reason, decision.message);
}

function noted(gate: Gate, thrown: unknown): FurrowError {
  const error = asFurrowError(thrown);
  if (error.code === 'internal') gate.log.error({ err: thrown }, 'rpc failed');
  return error;
}

function drained(
  stream: ServerWritableStream<unknown, unknown>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    stream.on('drain', done);
    signal.addEventListener('abort', done);
  });
}

/**
 * What every RPC passes before its service hears of it. Who shows no token of the farm is refused at the
 * headers, before a byte of the message is kept; refusals come later and later. Requests are counted, and
 * messages that do not come whole or answers that are not read cost the connection.
 */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  type ServerListener,
  type ServerMethodDefinition,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { CLIENT_VERSION_KEY } from '../../kit/client-version.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { VERSION } from '../../kit/version.ts';
import type { Access, Decision } from '../access.ts';
import { RPC_DOORS } from '../doors.ts';
import { faultOfClient } from '../domain/version-skew.ts';
import type { NetworkLimits } from '../limits/network-limits.ts';
import { addressOf, peerOf } from '../limits/peer.ts';
import { tooManyRequests } from '../limits/request-rate.ts';
import type { UnfinishedRequests } from '../limits/unfinished-requests.ts';
import { asFurrowError, statusOf } from './errors.ts';

/** Some answer strangers. */
const DOORS: Readonly<Record<string, string>> = RPC_DOORS;

/** Bytes of the message that was encoded last: grpc-js encodes it while it is handed over. */
const encoded = { bytes: 0 };

/** The service, with what it answers measured. */
export function measured(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => [
      name,
      {
        ...method,
        responseSerialize: (message: unknown): Buffer => {
          const bytes = method.responseSerialize(message);
          encoded.bytes = bytes.length;
          return bytes;
        },
      },
    ]),
  );
}

/** Undefined also for those who do not say: a service of somebody's own goes by the protocol alone. */
function faultOfVersionIn(metadata: Metadata): FurrowError | undefined {
  const version = metadata.get(CLIENT_VERSION_KEY)[0]?.toString();
  const fault = version === undefined ? undefined : faultOfClient(version, VERSION);
  if (fault === undefined) return undefined;
  return new FurrowError('failed-precondition', 'CLIENT_VERSION', fault);
}

export function grpcGuard(access: Access, limits: NetworkLimits): ServerInterceptor {
  return (method, call) => new GuardedCall(method, call, access, limits);
}

/** A message on its way: HTTP/2 takes it when the other end has room. */
interface Sent {
  isTaken: boolean;
  release: () => void;
}

class GuardedCall extends ServerInterceptingCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #method: ServerMethodDefinition<unknown, unknown>;
  readonly #access: Access;
  readonly #limits: NetworkLimits;
  readonly #peer: string;
  readonly #address: string;
  readonly #untaken = new Set<Sent>();
  #isCancelled = false;
  #whole: () => void = () => {};

  constructor(
    method: ServerMethodDefinition<unknown, unknown>,
    call: ServerInterceptingCallInterface,
    access: Access,
    limits: NetworkLimits,
  ) {
    super(call, { start: (next) => next(this.#listener()) });
    this.#call = call;
    this.#method = method;
    this.#access = access;
    this.#limits = limits;
    const ends = call.getConnectionInfo();
    this.#peer = peerOf(ends);
    this.#address = addressOf(ends);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    encoded.bytes = 0;
    const sent: Sent = { isTaken: false, release: () => {} };
    super.sendMessage(message, () => {
      sent.isTaken = true;
      sent.release();
      callback();
    });
    if (sent.isTaken) return;
    const release = this.#limits.unread.add(this.#peer, encoded.bytes);
    sent.release = () => {
      this.#untaken.delete(sent);
      release();
    };
    this.#untaken.add(sent);
  }

  #listener(): ServerListener {
    return {
      onReceiveMetadata: (metadata, next) => this.#begin(metadata, next),
      onReceiveHalfClose: (next) => {
        this.#whole();
        next();
      },
      onCancel: () => {
        this.#isCancelled = true;
        this.#whole();
        for (const sent of this.#untaken) sent.release();
      },
    };
  }

  #begin(metadata: Metadata, next: (metadata: Metadata) => void): void {
    if (!this.#limits.rate.take(this.#address)) return this.#refuse(tooManyRequests());
    if (DOORS[this.#method.path] === 'open') {
      this.#letIn(metadata, next, this.#limits.strangersUnfinished);
      return;
    }
    const credentials = { authorization: metadata.get('authorization')[0]?.toString() };
    const decision = this.#access.authorise(credentials, 'read-farm');
    if (decision.state === 'allowed' || !decision.isUnknown) {
      this.#decided(decision, metadata, next);
      return;
    }
    this.#access.authoriseSurely(credentials, 'read-farm').then(
      (surely) => this.#decided(surely, metadata, next),
      (thrown: unknown) => this.#refuseLogin(asFurrowError(thrown)),
    );
  }

  /** Whether he may do what he asks for is the service's to say; here only who he is counts. */
  #decided(decision: Decision, metadata: Metadata, next: (metadata: Metadata) => void): void {
    if (decision.state === 'refused' && decision.code === 'unauthenticated') {
      const { code, reason, message } = decision;
      this.#refuseLogin(new FurrowError(code, reason, message));
      return;
    }
    this.#limits.door.know(this.#peer);
    const fault = faultOfVersionIn(metadata);
    if (fault !== undefined) this.#refuse(fault);
    else this.#letIn(metadata, next, this.#limits.unfinished);
  }

  #letIn(
    metadata: Metadata,
    next: (metadata: Metadata) => void,
    unfinished: UnfinishedRequests,
  ): void {
    if (this.#isCancelled) return;
    // What the caller streams is taken message by message, and may take as long as it likes.
    if (!this.#method.requestStream) this.#whole = unfinished.add(this.#peer);
    next(metadata);
  }

  #refuseLogin(refusal: FurrowError): void {
    void this.#limits.logins
      .failed(this.#address, refusal)
      .then((refused) => this.#refuse(refused));
  }

  #refuse(error: FurrowError): void {
    this.#call.sendStatus(statusOf(error));
  }
}

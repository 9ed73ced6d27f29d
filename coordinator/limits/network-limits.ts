/**
 * All limits of the ports that face the network, put together: one object for gRPC and HTTP, because an
 * attacker does not choose one of them.
 */
import { type Clock, systemClock } from '../../kit/clock.ts';
import type { Logger } from '../../kit/log.ts';
import { FailedLogins } from './failed-logins.ts';
import { FrontDoor } from './front-door.ts';
import { RequestRate } from './request-rate.ts';
import { Seldom } from './seldom.ts';
import { UnfinishedRequests } from './unfinished-requests.ts';
import { UnreadAnswers } from './unread-answers.ts';

export interface NetworkSettings {
  /** Default: what the limit on open files leaves room for. */
  readonly maxConnections?: number | undefined;
  /** Default: a quarter of all. Connections of this machine are limited by their total alone. */
  readonly maxConnectionsPerAddress?: number | undefined;
  readonly maxRequestsPerSecond?: number | undefined;
  /** The longest wait before a failed login is answered; 0: none. */
  readonly failedLoginPauseMs?: number | undefined;
  /** How many files this process may have open, connections among them. */
  readonly mostOpenFiles?: number | undefined;
  /** Of gRPC answers that nobody reads. */
  readonly maxUnreadBytes?: number | undefined;
  /** Nothing of them moves for so long: the connection is cut. */
  readonly longestUnreadMs?: number | undefined;
}

const USUAL_OPEN_FILES = 10_000;
/** The rest is for blobs, the journal and the log. */
const SHARE_FOR_CONNECTIONS = 0.8;
const FEWEST_PER_ADDRESS = 64;
const REQUESTS_PER_SECOND = 10_000;
const LONGEST_PAUSE_MS = 10_000;
const MIB = 1024 * 1024;
const UNREAD_BYTES = 512 * MIB;
const UNREAD_SHARE_OF_ONE = 8;
const LONGEST_UNREAD_MS = 60_000;
const LONGEST_REQUEST_MS = 60_000;
const SLOW_REQUESTS = 64;
const SLOW_REQUESTS_OF_STRANGERS = 16;
const LOOK_EVERY_MS = 1_000;

/** A process that is done does not wait for what is to be said or refused later. */
const clock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

export class NetworkLimits {
  readonly door: FrontDoor;
  readonly logins: FailedLogins;
  readonly rate: RequestRate;
  readonly unread: UnreadAnswers;
  readonly unfinished: UnfinishedRequests;
  readonly strangersUnfinished: UnfinishedRequests;
  readonly #timer: NodeJS.Timeout;

  constructor(settings: NetworkSettings, log: Logger) {
    const monotonicMs = (): number => clock.monotonicMs();
    this.door = new FrontDoor({
      ...connectionLimits(settings),
      monotonicMs,
      turnedAway: turnedAwayLog(log),
    });
    this.logins = new FailedLogins({
      clock,
      log,
      longestPauseMs: settings.failedLoginPauseMs ?? LONGEST_PAUSE_MS,
    });
    const { maxRequestsPerSecond: perSecond = REQUESTS_PER_SECOND } = settings;
    this.rate = new RequestRate({ perSecond, monotonicMs });
    const cuts = new Seldom(clock, (connections) =>
      log.warn(
        { connections },
        'connections cut: they do not read, or do not finish what they send',
      ),
    );
    const cut = (peer: string): void => {
      cuts.note();
      this.door.cut(peer);
    };
    const { maxUnreadBytes: inAllBytes = UNREAD_BYTES } = settings;
    this.unread = new UnreadAnswers({
      perConnectionBytes: inAllBytes / UNREAD_SHARE_OF_ONE,
      inAllBytes,
      longestMs: settings.longestUnreadMs ?? LONGEST_UNREAD_MS,
      monotonicMs,
      cut,
    });
    const unfinished = { longestMs: LONGEST_REQUEST_MS, monotonicMs, cut };
    this.unfinished = new UnfinishedRequests({ ...unfinished, mostSlow: SLOW_REQUESTS });
    this.strangersUnfinished = new UnfinishedRequests({
      ...unfinished,
      mostSlow: SLOW_REQUESTS_OF_STRANGERS,
    });
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.unread.cutStalled();
    this.unfinished.cutSlowest();
    this.strangersUnfinished.cutSlowest();
  }
}

function connectionLimits(settings: NetworkSettings): {
  readonly connections: number;
  readonly perAddress: number;
  readonly perLoopback: number;
} {
  const { mostOpenFiles = USUAL_OPEN_FILES } = settings;
  const connections = settings.maxConnections ?? Math.floor(mostOpenFiles * SHARE_FOR_CONNECTIONS);
  const perAddress =
    settings.maxConnectionsPerAddress ?? Math.max(FEWEST_PER_ADDRESS, Math.floor(connections / 4));
  return { connections, perAddress, perLoopback: connections };
}

function turnedAwayLog(log: Logger): (address: string) => void {
  let latest = '';
  const seldom = new Seldom(clock, (connections) =>
    log.warn({ connections, latest }, 'connections turned away: too many are open'),
  );
  return (address) => {
    latest = address;
    seldom.note();
  };
}

/**
 * Whose turn it might be to lead: a key that the leader keeps fresh. Advice only. It spares two
 * coordinators from deposing each other; that there is one leader is decided by the journal.
 */
import { hostname } from 'node:os';
import { StorageType, type KV, type NatsConnection } from 'nats';
import { z } from 'zod';
import type { Clock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { isRunning, processStart } from '../../kit/process-identity.ts';
import { LEADER_BUCKET } from '../../proto/subjects.ts';

export interface TurnOptions {
  readonly nats: NatsConnection;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends the wait; the answer is then undefined. */
  readonly signal: AbortSignal;
}

/** Held from the turn's begin to the end of the reign. */
export interface Turn {
  /** Lets a standby go on at once. */
  release(): Promise<void>;
}

const KEY = 'leader';
const TTL_MS = 10_000;
const REFRESH_MS = 3_000;
const POLL_MS = 500;

const noteSchema = z.object({ host: z.string(), pid: z.int(), processStart: z.string() });
type Note = Readonly<z.infer<typeof noteSchema>>;

/**
 * Waits until no other coordinator's key is fresh, then keeps our own fresh. A predecessor on this
 * machine that no longer runs is not waited for. Undefined when `signal` ended the wait.
 */
export async function waitForTurn(options: TurnOptions): Promise<Turn | undefined> {
  const { clock, log, signal } = options;
  const own: Note = {
    host: hostname(),
    pid: process.pid,
    processStart: processStart(process.pid) ?? '',
  };
  let hasSaid = false;
  for (;;) {
    if (signal.aborted) return undefined;
    const leader = await readNote(options);
    if (leader === undefined || isOver(leader, own)) break;
    if (!hasSaid) log.info({ leader }, 'another coordinator leads, standing by');
    hasSaid = true;
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
  return keepFresh(options, own);
}

function isOver(leader: Note, own: Note): boolean {
  if (leader.host !== own.host) return false;
  return leader.pid === own.pid || !isRunning(leader.pid, leader.processStart);
}

/** Undefined also when it cannot be read: the journal decides, not this key. */
async function readNote(options: TurnOptions): Promise<Note | undefined> {
  try {
    const entry = await (await openBucket(options.nats)).get(KEY);
    if (entry === null || entry.operation !== 'PUT') return undefined;
    return noteSchema.safeParse(entry.json()).data;
  } catch (error) {
    options.log.debug({ error: messageOf(error) }, 'cannot read the leader key');
    return undefined;
  }
}

async function keepFresh(options: TurnOptions, own: Note): Promise<Turn> {
  const { nats, clock, log } = options;
  let isReleased = false;
  let cancelTimer: () => void = () => {};
  const refresh = async (): Promise<void> => {
    try {
      // Opened each time: the bucket lives in memory and is gone when the server was restarted.
      await (await openBucket(nats)).put(KEY, JSON.stringify(own));
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'cannot refresh the leader key');
    }
    if (!isReleased) cancelTimer = clock.after(REFRESH_MS, () => void refresh());
  };
  await refresh();
  return {
    release: async () => {
      isReleased = true;
      cancelTimer();
      try {
        await (await openBucket(nats)).delete(KEY);
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'cannot delete the leader key');
      }
    },
  };
}

function openBucket(nats: NatsConnection): Promise<KV> {
  const options = { ttl: TTL_MS, history: 1, storage: StorageType.Memory } as const;
  return nats.jetstream().views.kv(LEADER_BUCKET, options);
}

/**
 * The stream FURROW_JOURNAL as JetStream offers it: create, read the tail, append with a compare-and-
 * set over the whole stream. Knows NATS's answers; what they mean for the farm is decided elsewhere.
 */
import {
  DiscardPolicy,
  ErrorCode,
  headers,
  NatsError,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type NatsConnection,
  type StreamConfig,
} from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { requestTogether } from '../../kit/send-together.ts';
import { JOURNAL_STREAM, JOURNAL_SUBJECT } from '../../proto/subjects.ts';
import type { PublishAnswer, RawMessage } from './journal-writer.ts';

export interface JournalStreamOptions {
  /** Copies of the journal in a cluster: 1, 3 or 5. */
  readonly replicas: number;
  /** -1 for as much as the server allows. */
  readonly maxBytes: number;
}

/** Numbers of nats-server's errors that we tell apart. */
const NO_MESSAGE_FOUND = 10037;
const STREAM_NOT_FOUND = 10059;
/** The second is what later versions say without naming the sequence. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);

/** What must be so for the journal to be a journal; some of it cannot be changed later. */
const FIXED = {
  subjects: [JOURNAL_SUBJECT],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  // A full journal refuses; it never forgets.
  discard: DiscardPolicy.New,
  max_age: 0,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  max_msg_size: -1,
  // Nobody takes single commits out. Purging stays allowed: snapshots will need it.
  deny_delete: true,
  deny_purge: false,
  allow_rollup_hdrs: false,
  // Direct reads are answered by any replica, which may be behind: the tail is read from the leader.
  allow_direct: false,
} as const satisfies Partial<StreamConfig>;

/** False when there is no such stream. */
export async function hasJournalStream(manager: JetStreamManager): Promise<boolean> {
  try {
    await manager.streams.info(JOURNAL_STREAM);
    return true;
  } catch (error) {
    if (apiErrorCode(error) === STREAM_NOT_FOUND) return false;
    throw error;
  }
}

/**
 * Creates the stream, or checks the one that is there and sets what may change. FurrowError:
 * failed-precondition JOURNAL_STREAM_UNFIT.
 */
export async function ensureJournalStream(
  manager: JetStreamManager,
  options: JournalStreamOptions,
): Promise<void> {
  const wanted = { num_replicas: options.replicas, max_bytes: options.maxBytes };
  if (!(await hasJournalStream(manager))) {
    await manager.streams.add({ name: JOURNAL_STREAM, ...FIXED, ...wanted });
    return;
  }
  const { config } = await manager.streams.info(JOURNAL_STREAM);
  const wrong = Object.entries(FIXED)
    .filter(([name, value]) => {
      const actual = (config as unknown as Readonly<Record<string, unknown>>)[name];
      return JSON.stringify(actual) !== JSON.stringify(value);
    })
    .map(([name]) => name);
  if (config.mirror !== undefined) wrong.push('mirror');
  if ((config.sources ?? []).length > 0) wrong.push('sources');
  if (wrong.length > 0) {
    const message = `stream ${JOURNAL_STREAM} is not one that Furrow made (${wrong.join(', ')}): give Furrow a NATS account of its own`;
    throw new FurrowError('failed-precondition', 'JOURNAL_STREAM_UNFIT', message);
  }
  if (config.num_replicas !== wanted.num_replicas || config.max_bytes !== wanted.max_bytes) {
    await manager.streams.update(JOURNAL_STREAM, { ...config, ...wanted });
  }
}

/** 0 for an empty stream. */
export async function lastSequenceOf(manager: JetStreamManager): Promise<number> {
  const { state } = await manager.streams.info(JOURNAL_STREAM);
  return state.last_seq;
}

/** No message has this subject. */
const BARRIER_SUBJECT = `${JOURNAL_SUBJECT}.barrier`;

/**
 * As `lastSequenceOf`, but behind a write: a server of a cluster that was deposed and does not know it
 * yet answers reads from what it has, and cannot answer this. The write is a purge of messages that
 * do not exist: every replica takes note of it, and it changes nothing. Throws what NATS threw.
 */
export async function confirmedLastSequence(manager: JetStreamManager): Promise<number> {
  await manager.streams.purge(JOURNAL_STREAM, { filter: BARRIER_SUBJECT });
  return lastSequenceOf(manager);
}

/** Sequences that are kept; of an empty stream, `first` is above `last`. */
export interface StreamBounds {
  readonly first: number;
  readonly last: number;
}

export async function boundsOf(manager: JetStreamManager): Promise<StreamBounds> {
  const { state } = await manager.streams.info(JOURNAL_STREAM);
  return { first: Math.max(1, state.first_seq), last: state.last_seq };
}

/** Calls `wake` when an append is on its way to the stream, until the answer is called. */
export function hearAppends(nats: NatsConnection, wake: () => void): () => void {
  const appends = nats.subscribe(JOURNAL_SUBJECT, { callback: () => wake() });
  return () => appends.unsubscribe();
}

/** Deletes all messages up to this sequence. The caller keeps the tail out of it. */
export async function purgeThrough(manager: JetStreamManager, sequence: number): Promise<void> {
  await manager.streams.purge(JOURNAL_STREAM, { seq: sequence + 1 });
}

/**
 * The last message, from the stream's leader: $JS.API.STREAM.MSG.GET is answered by nobody else,
 * other than the direct read. Undefined when the stream is empty. Throws what NATS threw.
 */
export async function readTail(manager: JetStreamManager): Promise<RawMessage | undefined> {
  try {
    const query = { last_by_subj: JOURNAL_SUBJECT };
    const message = await manager.streams.getMessage(JOURNAL_STREAM, query);
    return { sequence: message.seq, bytes: message.data };
  } catch (error) {
    if (apiErrorCode(error) === NO_MESSAGE_FOUND) return undefined;
    throw error;
  }
}

/** One message, from the stream's leader; undefined when it is not kept. Throws what NATS threw. */
export async function readMessage(
  manager: JetStreamManager,
  sequence: number,
): Promise<RawMessage | undefined> {
  try {
    const message = await manager.streams.getMessage(JOURNAL_STREAM, { seq: sequence });
    return { sequence: message.seq, bytes: message.data };
  } catch (error) {
    if (apiErrorCode(error) === NO_MESSAGE_FOUND) return undefined;
    throw error;
  }
}

interface PubAck {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** Sends once. Never with a Nats-Msg-Id: 2.10 looks for duplicates before it compares sequences. */
export async function publishCommit(
  nats: NatsConnection,
  bytes: Uint8Array,
  expectedLastSequence: number,
  timeoutMs: number,
): Promise<PublishAnswer> {
  const expectation = headers();
  expectation.set('Nats-Expected-Last-Sequence', String(expectedLastSequence));
  try {
    const options = { timeout: timeoutMs, headers: expectation };
    const reply = await requestTogether(nats, JOURNAL_SUBJECT, bytes, options);
    return readAck(reply.json<PubAck>());
  } catch (error) {
    const message = messageOf(error);
    const code = error instanceof NatsError ? (error.code as ErrorCode) : undefined;
    if (code === ErrorCode.NoResponders) {
      return { state: 'not-stored', message: 'nobody serves the journal at the moment' };
    }
    if (code === ErrorCode.MaxPayloadExceeded) {
      return { state: 'rejected', message: `the server's max_payload is too small: ${message}` };
    }
    return { state: 'unknown', message };
  }
}

function readAck(ack: PubAck): PublishAnswer {
  if (ack.error !== undefined) {
    const message = ack.error.description ?? 'no reason given';
    const isWrongSequence = WRONG_LAST_SEQUENCE.has(ack.error.err_code ?? 0);
    return { state: isWrongSequence ? 'not-stored' : 'rejected', message };
  }
  if (ack.duplicate === true || ack.stream !== JOURNAL_STREAM || ack.seq === undefined) {
    return { state: 'unknown', message: `unexpected answer ${JSON.stringify(ack)}` };
  }
  return { state: 'stored', sequence: ack.seq };
}

function apiErrorCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

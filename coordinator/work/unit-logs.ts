/** The stream FURROW_LOG: what units print, bounded by age and size, read by job. */
import {
  DeliverPolicy,
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
  type JsMsg,
  type NatsConnection,
} from 'nats';
import { LogLines } from '../../proto/gen/furrow/work/v1/work.ts';
import { LOG_STREAM, LOG_SUBJECTS, logSubject } from '../../proto/subjects.ts';
import type { LogReader } from '../grpc/stream-logs.ts';

const MAX_AGE_MS = 14 * 24 * 60 * 60 * 1000;
const MAX_BYTES = 1024 * 1024 * 1024;
const NS_PER_MS = 1_000_000;
/** How long to wait for more when the end of what is kept should be reached already. */
const IDLE_MS = 1_000;

export async function ensureLogStream(manager: JetStreamManager, replicas: number): Promise<void> {
  const limits = {
    subjects: [LOG_SUBJECTS],
    max_age: MAX_AGE_MS * NS_PER_MS,
    max_bytes: MAX_BYTES,
    discard: DiscardPolicy.Old,
  };
  const names = await manager.streams.names(LOG_SUBJECTS).next();
  if (names.includes(LOG_STREAM)) {
    await manager.streams.update(LOG_STREAM, limits);
    return;
  }
  await manager.streams.add({
    ...limits,
    name: LOG_STREAM,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    num_replicas: replicas,
  });
}

export class UnitLogs implements LogReader {
  readonly #nats: NatsConnection;

  constructor(nats: NatsConnection) {
    this.#nats = nats;
  }

  async *read(job: string, follow: boolean, signal: AbortSignal): AsyncGenerator<LogLines> {
    const kept = await this.#countKept(job);
    if (kept === 0 && !follow) return;
    const consumer = await this.#nats.jetstream().consumers.get(LOG_STREAM, {
      filterSubjects: [logSubject(job, '*')],
      // Not DeliverPolicy.All: the client sends a start sequence with it, and the server refuses both
      // together, silently and for ever.
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: 1,
    });
    const messages = await consumer.consume({ max_messages: 500 });
    const stop = (): void => messages.stop();
    // Lines that a unit printed last may still be on their way when its job ends.
    signal.addEventListener('abort', () => setTimeout(stop, IDLE_MS), { once: true });
    let left = kept;
    try {
      for await (const message of messages) {
        const lines = linesOf(message);
        if (lines !== undefined) yield lines;
        left -= 1;
        if (left <= 0 && !follow) return;
      }
    } finally {
      await messages.close();
      await consumer.delete().catch(() => false);
    }
  }

  /** From the stream: an ordered consumer's own info never answers before it consumes. */
  async #countKept(job: string): Promise<number> {
    const manager = await this.#nats.jetstreamManager({ checkAPI: false });
    const { state } = await manager.streams.info(LOG_STREAM, {
      subjects_filter: logSubject(job, '*'),
    });
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  }
}

/**
 * Undefined for what no agent says of itself: NATS lets each speak under its own name only, but of any job, so that
 * what cannot be read must not keep the lines of others from anybody.
 */
function linesOf({ subject, data }: Pick<JsMsg, 'subject' | 'data'>): LogLines | undefined {
  try {
    const lines = LogLines.decode(data);
    return subject.split('.')[3] === lines.agentId ? lines : undefined;
  } catch {
    return undefined;
  }
}

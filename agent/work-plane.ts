/**
 * The NATS side: takes grants, carries results, progress and logs. It never gives up on a server that
 * is away, and tells whether it is connected.
 */
import type { Msg, NatsConnection } from 'nats';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Checkpoint,
  CheckpointReply,
  Grant,
  GrantReply,
  LogLines,
  Progress,
  Reign,
  ResultBatch,
  ResultReply,
  Verdict,
  type Result,
} from '../proto/gen/furrow/work/v1/work.ts';
import type { JournalPlace } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import {
  agentInboxPrefix,
  checkpointSubject,
  grantSubject,
  logSubject,
  progressSubject,
  REIGN_SUBJECT,
  resultSubject,
} from '../proto/subjects.ts';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { NatsAuth } from '../kit/nats-auth.ts';
import { connectNats } from '../kit/nats-connection.ts';
import type { Trust } from '../kit/trust.ts';
import { requestTogether, respondTogether } from '../kit/send-together.ts';
import type { ResultChannel } from './agent-core.ts';
import type { Assignment } from './assignment.ts';
import { checkpointVerdict, type CheckpointVerdict } from './checkpoint-saver.ts';
import type { CheckpointChannel, UnitTelemetry } from './executor-ports.ts';
import { alignVerdicts, packResults } from './result-columns.ts';
import { LogFeed, type LogBatch } from './log-feed.ts';
import { ProgressFeed } from './progress-feed.ts';
import { tokenKey } from './token-key.ts';

export interface WorkPlaneOptions {
  readonly servers: readonly string[];
  readonly auth: NatsAuth;
  readonly trust: Trust;
  readonly agentId: string;
  readonly session: string;
  /** What was seen of the farm's journal: results are offered to nobody who lacks that. */
  readonly seen: () => JournalPlace | undefined;
  readonly log: Logger;
}

/** What the work plane asks of the agent. */
export interface WorkPlanePorts {
  /** Null: no answer must be given. */
  handleGrant(grant: Grant): GrantReply | null;
  setWorkPlaneUp(up: boolean): void;
  /** A coordinator says that it leads. */
  reignAnnounced(reign: Reign): void;
}

/** A result is answered after its commit; while the journal is in doubt that takes its time. */
const RESULT_TIMEOUT_MS = 15_000;
/** At most 2 Hz a unit. */
const PROGRESS_EVERY_MS = 500;
const LOG_EVERY_MS = 250;
const LOG_IN_FLIGHT = 32;
const LOG_TIMEOUT_MS = 5_000;
/** After a refusal: a store that is full must not be asked four times a second for each unit. */
const LOG_PAUSE_MS = 5_000;
const CONNECT_AGAIN_MS = 5_000;

export class WorkPlane implements ResultChannel, CheckpointChannel, UnitTelemetry {
  #options: WorkPlaneOptions;
  readonly #progress: ProgressFeed;
  readonly #logs: LogFeed;
  readonly #stop = new AbortController();
  /** Aborted to cut a pause between two connections short. */
  #again = new AbortController();
  #ports: WorkPlanePorts | null = null;
  #nats: NatsConnection | null = null;
  #up = false;
  #logsInFlight = 0;
  #logsPausedUntilMs = 0;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: WorkPlaneOptions) {
    this.#options = options;
    this.#progress = new ProgressFeed(options.agentId);
    this.#logs = new LogFeed(options.agentId);
  }

  /** Connects, in its own time; `ports` is told when it is up. */
  start(ports: WorkPlanePorts): void {
    this.#ports = ports;
    void this.#connectUntilStopped();
    this.#timers = [
      setInterval(() => this.#sendProgress(), PROGRESS_EVERY_MS),
      setInterval(() => this.#sendLogs(), LOG_EVERY_MS),
    ];
  }

  /** Comes in anew with credentials that last longer: those it came in with end before long. */
  renewed(): void {
    if (this.#nats?.isClosed() === false) void this.#nats.reconnect().catch(() => undefined);
  }

  /** The coordinator says that NATS is elsewhere now, or is opened by something else. */
  moveTo(servers: readonly string[], auth: NatsAuth, trust: Trust): void {
    const told = JSON.stringify([servers, auth, trust]);
    const { servers: before, auth: authBefore, trust: trustBefore } = this.#options;
    if (told === JSON.stringify([before, authBefore, trustBefore])) return;
    this.#options = { ...this.#options, servers, auth, trust };
    this.#again.abort();
    void this.#nats?.close();
  }

  /** Sends what is buffered, and closes. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#sendProgress();
    this.#sendLogs();
    this.#stop.abort();
    this.#again.abort();
    const drained = this.#up ? this.#nats?.drain() : this.#nats?.close();
    await Promise.race([drained?.catch(() => undefined), sleep(1_000)]);
    await this.#nats?.close().catch(() => undefined);
  }

  async #connectUntilStopped(): Promise<void> {
    const { agentId, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      const { servers, auth, trust } = this.#options;
      try {
        const nats = await connectNats({
          servers,
          auth,
          trust,
          inboxPrefix: agentInboxPrefix(agentId),
          name: `furrow agent ${agentId}`,
          onStatus: (status) => this.#setUp(status.state === 'connected'),
        });
        this.#nats = nats;
        if (this.#stop.signal.aborted) await nats.close();
        else this.#subscribe(nats);
        this.#setUp(!nats.isClosed());
        const error = await nats.closed();
        if (error !== undefined)
          log.error({ error: messageOf(error) }, 'NATS closed the connection');
      } catch (error) {
        log.error({ error: messageOf(error) }, 'cannot connect to NATS');
      }
      this.#nats = null;
      this.#setUp(false);
      await sleep(CONNECT_AGAIN_MS, undefined, { signal: this.#again.signal }).catch(
        () => undefined,
      );
      this.#again = new AbortController();
    }
  }

  /** Up means that grants can arrive: a connection without its subscription is not. */
  #setUp(connected: boolean): void {
    const up = connected && this.#nats !== null;
    if (up === this.#up) return;
    this.#up = up;
    this.#options.log.info({ up }, 'work plane changed');
    this.#ports?.setWorkPlaneUp(up);
  }

  #subscribe(nats: NatsConnection): void {
    const { agentId, session } = this.#options;
    nats.subscribe(grantSubject(agentId, session), {
      callback: (error, message) => {
        if (error === null) this.#granted(message);
        else this.#options.log.error({ error: messageOf(error) }, 'grants cannot be received');
      },
    });
    nats.subscribe(REIGN_SUBJECT, {
      callback: (_error, message) => this.#reignAnnounced(message),
    });
  }

  #reignAnnounced(message: Msg): void {
    try {
      this.#ports?.reignAnnounced(Reign.decode(message.data));
    } catch (error) {
      this.#options.log.debug({ error: messageOf(error) }, 'an announcement is not readable');
    }
  }

  #granted(message: Msg): void {
    try {
      const reply = this.#ports?.handleGrant(Grant.decode(message.data)) ?? null;
      if (reply === null || this.#nats === null) return;
      respondTogether(this.#nats, message, GrantReply.encode(reply).finish());
    } catch (error) {
      // No answer is "unknown" to the coordinator, which is what it is.
      this.#options.log.error({ error: messageOf(error) }, 'a grant cannot be handled');
    }
  }

  async offer(results: readonly Result[]): Promise<ResultReply | null> {
    const { agentId, session, seen, log } = this.#options;
    if (this.#nats === null) return null;
    try {
      const packed = packResults(results);
      const { successes, results: others } = packed;
      const message = { agentId, session, results: others, successes, seen: seen() };
      const batch = ResultBatch.encode(message).finish();
      const options = { timeout: RESULT_TIMEOUT_MS };
      const subject = resultSubject(agentId);
      const answer = await requestTogether(this.#nats, subject, batch, options);
      const reply = alignVerdicts(ResultReply.decode(answer.data), results, packed);
      this.#noteVerdicts(reply);
      return reply;
    } catch (error) {
      log.warn({ error: messageOf(error), results: results.length }, 'results got no answer');
      return null;
    }
  }

  /** Never rejects. */
  async offerCheckpoint(
    { token, jobId, step, unit }: Assignment,
    files: readonly File[],
  ): Promise<CheckpointVerdict> {
    const { agentId, seen, log } = this.#options;
    if (this.#nats === null) return { state: 'again', missing: false };
    try {
      const checkpoint = { agentId, token, jobId, step, unit, files, seen: seen() };
      const bytes = Checkpoint.encode(checkpoint).finish();
      const options = { timeout: RESULT_TIMEOUT_MS };
      const answer = await this.#nats.request(checkpointSubject(agentId), bytes, options);
      return checkpointVerdict(CheckpointReply.decode(answer.data));
    } catch (error) {
      log.warn({ jobId, step, unit, error: messageOf(error) }, 'a checkpoint got no answer');
      return { state: 'again', missing: false };
    }
  }

  /** An agent's own account of what it was told: tests hold it against the journal. */
  #noteVerdicts({ epoch, verdicts }: ResultReply): void {
    const { log } = this.#options;
    if (!log.isLevelEnabled('debug')) return;
    const keysOf = (wanted: Verdict): readonly string[] =>
      verdicts
        .filter(({ token, verdict }) => token !== undefined && verdict === wanted)
        .map(({ token }) => tokenKey(token as Token));
    const accepted = keysOf(Verdict.VERDICT_ACCEPTED);
    const stale = keysOf(Verdict.VERDICT_STALE);
    log.debug({ epoch, accepted, stale }, 'results answered');
  }

  progress(assignment: Assignment, fraction: number, counter: number, note: string): void {
    this.#progress.set(assignment, fraction, counter, note);
  }

  log(assignment: Assignment, line: string): void {
    this.#logs.add(assignment, line);
  }

  #sendProgress(): void {
    const nats = this.#nats;
    const messages = this.#progress.take();
    // Lossy by design: what cannot go now is overtaken soon.
    if (nats === null || !this.#up || nats.isClosed()) return;
    for (const { jobId, message } of messages) {
      nats.publish(
        progressSubject(jobId, this.#options.agentId),
        Progress.encode(message).finish(),
      );
    }
  }

  #sendLogs(): void {
    if (!this.#up || performance.now() < this.#logsPausedUntilMs) return;
    const room = LOG_IN_FLIGHT - this.#logsInFlight;
    for (const batch of this.#logs.take(room, Date.now())) void this.#sendLog(batch);
  }

  async #sendLog(batch: LogBatch): Promise<void> {
    this.#logsInFlight += 1;
    try {
      const subject = logSubject(batch.assignment.jobId, this.#options.agentId);
      const bytes = LogLines.encode(batch.message).finish();
      await this.#nats?.jetstream().publish(subject, bytes, { timeout: LOG_TIMEOUT_MS });
    } catch {
      this.#logs.lost(batch);
      this.#logsPausedUntilMs = performance.now() + LOG_PAUSE_MS;
    } finally {
      this.#logsInFlight -= 1;
    }
  }
}

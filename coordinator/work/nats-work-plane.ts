/**
 * The NATS side: grants out and their answers back as commands, results in, progress in. No durable
 * consumer for each agent, no subject for each unit.
 */
import { ErrorCode, type Msg, NatsError, type NatsConnection, type Subscription } from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import {
  Grant,
  GrantReply,
  Progress,
  ResultBatch,
  ResultReply,
  type Result,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { grantSubject, PROGRESS_SUBJECTS, RESULT_SUBJECTS } from '../../proto/subjects.ts';
import type { CommandLoop } from '../command-loop.ts';
import type { GrantOrder } from '../domain/assignment.ts';
import type { GrantAnswered, ReportedResult } from '../domain/commands.ts';
import { type Farm, jobNumberOf } from '../domain/farm.ts';
import { grantToWire, resultFromWire, tokenFromWire, verdictToWire } from '../grpc/wire.ts';
import type { WatchHub } from '../watch-hub.ts';

export interface WorkPlaneOptions {
  readonly nats: NatsConnection;
  readonly log: Logger;
  readonly farm: Farm;
  readonly loop: CommandLoop;
  /** Answers what is not stored, and sees to it that what is stays until its commit. */
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
}

const GRANT_TIMEOUT_MS = 5_000;
const NO_RESPONDERS: string = ErrorCode.NoResponders;
const MAX_RESULTS = 10_000;

export class NatsWorkPlane {
  readonly #options: WorkPlaneOptions;
  readonly #subscriptions: Subscription[] = [];

  constructor(options: WorkPlaneOptions) {
    this.#options = options;
  }

  start(): void {
    const { nats } = this.#options;
    this.#subscriptions.push(
      nats.subscribe(RESULT_SUBJECTS, {
        callback: (_error, message) => void this.#takeResults(message),
      }),
    );
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** Hands leases to an agent; its answer comes back as a command. */
  async grant(order: GrantOrder): Promise<void> {
    const { loop } = this.#options;
    const { agentId, session, number: grantNumber } = order;
    const answer = await this.#askAgent(order);
    await loop
      .submit({ type: 'GrantAnswered', agentId, session, grantNumber, answer })
      .catch(() => {});
  }

  async #askAgent(order: GrantOrder): Promise<GrantAnswered['answer']> {
    const { nats, farm, log } = this.#options;
    const grant = Grant.encode(grantToWire(order, farm.farmId, farm.epoch)).finish();
    try {
      const subject = grantSubject(order.agentId, order.session);
      const reply = await nats.request(subject, grant, { timeout: GRANT_TIMEOUT_MS });
      return answerOf(order, GrantReply.decode(reply.data));
    } catch (error) {
      log.warn(
        { agent: order.agentId, grant: order.number, error: messageOf(error) },
        'grant without an answer',
      );
      const nobodyListens = error instanceof NatsError && error.code === NO_RESPONDERS;
      return nobodyListens ? { state: 'no-responders' } : { state: 'unknown' };
    }
  }

  async #takeResults(message: Msg): Promise<void> {
    const { log } = this.#options;
    try {
      const batch = ResultBatch.decode(message.data);
      checkSender(message, batch);
      const reply = await this.#judge(batch);
      if (reply !== undefined) message.respond(ResultReply.encode(reply).finish());
    } catch (error) {
      // No answer: the agent keeps its results and offers them again.
      log.warn({ subject: message.subject, error: messageOf(error) }, 'results without an answer');
    }
  }

  async #judge(batch: ResultBatch): Promise<ResultReply | undefined> {
    const { loop, farm } = this.#options;
    const { agentId, session } = batch;
    const results = await this.#withMissingBlobs(batch.results);
    const answer = await loop.submit({ type: 'ReportResults', agentId, session, results });
    if (answer.kind !== 'verdicts') return undefined;
    const verdicts = batch.results.map((result, index) =>
      verdictToWire(result.token, answer.verdicts[index] ?? { kind: 'none' }),
    );
    return { farmId: farm.farmId, epoch: farm.epoch, verdicts };
  }

  /** One question for the whole batch. Rejects when the store does not answer. */
  async #withMissingBlobs(results: readonly Result[]): Promise<ReportedResult[]> {
    const reported = results.map((result) => {
      const { outcome, ...rest } = resultFromWire(result);
      const hashes =
        outcome.state === 'succeeded' ? outcome.outputs.map(({ sha256 }) => sha256) : [];
      return { reported: { ...rest, outcome }, hashes };
    });
    const named = reported.flatMap(({ hashes }) => hashes);
    const missing = new Set(named.length === 0 ? [] : await this.#options.findMissing(named));
    return reported.map(({ reported, hashes }) => ({
      ...reported,
      missingBlobs: hashes.filter((sha256) => missing.has(sha256)),
    }));
  }
}

/** Shows watchers how far units are; for leaders and standbys alike. */
export function subscribeProgress(
  nats: NatsConnection,
  farm: Farm,
  hub: WatchHub,
  log: Logger,
): Subscription {
  return nats.subscribe(PROGRESS_SUBJECTS, {
    callback: (_error, message) => takeProgress(farm, hub, log, message),
  });
}

function takeProgress(farm: Farm, hub: WatchHub, log: Logger, message: Msg): void {
  try {
    const job = jobNumberOf(message.subject.split('.')[2] ?? '');
    // What comes after a job's end would be kept for ever: nothing clears it any more.
    const known = job === undefined ? undefined : farm.jobs.get(job);
    if (job === undefined || known === undefined || known.end !== undefined) return;
    const { agentId, units } = Progress.decode(message.data);
    hub.progress(
      job,
      units.map(({ step, unit, attempt, fraction, counter, note }) => {
        return { unitId: `j${job}/${step}/${unit}`, attempt, agentId, fraction, counter, note };
      }),
    );
  } catch (error) {
    log.debug({ subject: message.subject, error: messageOf(error) }, 'progress is not readable');
  }
}

function answerOf(order: GrantOrder, reply: GrantReply): GrantAnswered['answer'] {
  if (reply.refusedAll !== '') {
    const refused = order.steps.flatMap((step) =>
      step.leases.map(({ token }) => ({ token, reason: reply.refusedAll })),
    );
    return { state: 'answered', refused };
  }
  const refused = reply.refused.map(({ token, reason }) => {
    return { token: tokenFromWire(token), reason: reason.slice(0, 500) };
  });
  return { state: 'answered', refused };
}

function checkSender(message: Msg, batch: ResultBatch): void {
  const sender = message.subject.split('.')[2];
  if (sender !== batch.agentId) {
    throw new FurrowError(
      'forbidden',
      'SENDER_MISMATCH',
      'results of another agent than the subject',
    );
  }
  if (batch.results.length > MAX_RESULTS) {
    throw new FurrowError('invalid', 'BATCH_TOO_LARGE', `at most ${MAX_RESULTS} results a batch`);
  }
}

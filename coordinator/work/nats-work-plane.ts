/**
 * The NATS side: grants out and their answers back as commands, results in, progress in. No durable
 * consumer for each agent, no subject for each unit.
 */
import { ErrorCode, type Msg, NatsError, type NatsConnection, type Subscription } from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { requestTogether, respondTogether } from '../../kit/send-together.ts';
import {
  GrantReply,
  Progress,
  Reign,
  ResultBatch,
  ResultReply,
  type Result,
} from '../../proto/gen/furrow/work/v1/work.ts';
import {
  grantSubject,
  PROGRESS_SUBJECTS,
  REIGN_SUBJECT,
  RESULT_SUBJECTS,
} from '../../proto/subjects.ts';
import type { CommandLoop } from '../command-loop.ts';
import type { GrantOrder } from '../domain/assignment.ts';
import type { GrantAnswered, ReportedResult, Verdict } from '../domain/commands.ts';
import { type Farm, jobNumberOf } from '../domain/farm.ts';
import {
  grantToWire,
  resultFromWire,
  sightingFromWire,
  tokenFromWire,
  verdictKindToWire,
  verdictToWire,
} from '../grpc/wire.ts';
import type { Sighting } from '../domain/lineage.ts';
import type { WorkPlane } from '../reign.ts';
import { successesFromWire } from './result-columns.ts';
import type { File } from '../domain/task.ts';
import { isUnderLease } from '../domain/lease-book.ts';
import type { WatchHub } from '../watch-hub.ts';
import { subscribeCheckpoints } from './checkpoints.ts';
import { fitGrant, type FittedGrant } from './fit-grant.ts';

export interface WorkPlaneOptions {
  readonly nats: NatsConnection;
  readonly log: Logger;
  readonly farm: Farm;
  readonly loop: CommandLoop;
  /** Where agents reach this coordinator: HOST:PORT. */
  readonly grpcAddress: string;
  /** Takes note of what an agent has seen of the farm; rejects when it is of another history. */
  readonly hear: (seen: Sighting | undefined, seenBy: string) => Promise<void>;
  /** Makes a blob of a list of files, which stays for as long as a grant needs it. */
  readonly storeList: (files: readonly File[], agentId: string) => Promise<File>;
  /** Answers what is not stored, and sees to it that what is stays until its commit. */
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
}

/** What nats-server takes unless it is told otherwise. */
const LEAST_MAX_PAYLOAD_BYTES = 2 ** 20;
/** The protocol's own line, subject and reply address. */
const HEADER_BYTES = 4_096;
const GRANT_TIMEOUT_MS = 5_000;
const ANNOUNCE_EVERY_MS = 2_000;
const NO_RESPONDERS: string = ErrorCode.NoResponders;
const MAX_RESULTS = 10_000;

export class NatsWorkPlane implements WorkPlane {
  readonly #options: WorkPlaneOptions;
  readonly #subscriptions: Subscription[] = [];
  #announcing: NodeJS.Timeout | undefined;

  constructor(options: WorkPlaneOptions) {
    this.#options = options;
  }

  start(): void {
    const { nats } = this.#options;
    this.#subscriptions.push(
      nats.subscribe(RESULT_SUBJECTS, {
        callback: (_error, message) => void this.#takeResults(message),
      }),
      subscribeCheckpoints(this.#options),
    );
    this.#announce();
    this.#announcing = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#announcing);
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** Hands leases to an agent; its answer comes back as a command. */
  grant(order: GrantOrder): void {
    const { loop } = this.#options;
    const { agentId, session, number: grantNumber } = order;
    void this.#askAgent(order)
      .then((answer) =>
        loop.submit({ type: 'GrantAnswered', agentId, session, grantNumber, answer }),
      )
      .catch(() => {});
  }

  /**
   * One that led before, and is cut off from NATS alone, goes on answering beats: its agents must hear
   * from elsewhere that it was deposed.
   */
  #announce(): void {
    const { nats, farm, grpcAddress } = this.#options;
    if (nats.isClosed()) return;
    const { farmId, epoch } = farm;
    nats.publish(REIGN_SUBJECT, Reign.encode({ farmId, epoch, grpcAddress }).finish());
  }

  async #askAgent(order: GrantOrder): Promise<GrantAnswered['answer']> {
    const { nats, farm, log, storeList } = this.#options;
    const grant = grantToWire(order, farm);
    const maxBytes = (nats.info?.max_payload ?? LEAST_MAX_PAYLOAD_BYTES) - HEADER_BYTES;
    let fitted: FittedGrant;
    try {
      fitted = await fitGrant(grant, maxBytes, (files) => storeList(files, order.agentId));
    } catch (error) {
      // Nothing was sent: the leases are free.
      const refusedAll = `its list of inputs cannot be stored: ${messageOf(error)}`;
      return answerOf(order, { refused: [], refusedAll });
    }
    try {
      const subject = grantSubject(order.agentId, order.session);
      const options = { timeout: GRANT_TIMEOUT_MS };
      const reply = await requestTogether(nats, subject, fitted.bytes, options);
      const { refusedAll, refused } = GrantReply.decode(reply.data);
      const left = fitted.left.map((token) => ({ token, reason: 'the grant was full' }));
      return answerOf(order, { refusedAll, refused: [...refused, ...left] });
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
      if (this.#isShutOut(batch.agentId)) return;
      const reply = await this.#judge(batch);
      if (reply === undefined) return;
      respondTogether(this.#options.nats, message, ResultReply.encode(reply).finish());
    } catch (error) {
      // No answer: the agent keeps its results and offers them again.
      log.warn({ subject: message.subject, error: messageOf(error) }, 'results without an answer');
    }
  }

  /** Its connection may outlive its key for a while. */
  #isShutOut(agentId: string): boolean {
    return (this.#options.farm.agents.get(agentId)?.revokedAtMs ?? 0) !== 0;
  }

  async #judge(batch: ResultBatch): Promise<ResultReply | undefined> {
    const { loop, farm, hear } = this.#options;
    const { agentId, session } = batch;
    await hear(sightingFromWire(batch.seen, farm.farmId), `agent ${agentId}`);
    const successes = batch.successes.flatMap(successesFromWire);
    const results = [...successes, ...(await this.#withMissingBlobs(batch.results))];
    const answer = await loop.submit({ type: 'ReportResults', agentId, session, results });
    if (answer.kind !== 'verdicts') return undefined;
    const said = (index: number): Verdict => answer.verdicts[index] ?? { kind: 'none' };
    return {
      farmId: farm.farmId,
      epoch: farm.epoch,
      verdicts: batch.results.map(({ token }, index) =>
        verdictToWire(token, said(successes.length + index)),
      ),
      successVerdicts: successes.map((_, index) => verdictKindToWire(said(index))),
    };
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
    // Another's units, or under another's name: nobody who runs them would say so.
    if (message.subject.split('.')[3] !== agentId) return;
    // Nor may what comes late of an attempt that is over be taken for how far the next one is.
    const current = units.filter(({ step, unit, attempt }) =>
      isUnderLease(farm, job, step, { unit, attempt, agentId }),
    );
    hub.progress(
      job,
      current.map(({ step, unit, attempt, fraction, counter, note }) => {
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
  const inColumns = batch.successes.reduce((sum, { counters }) => sum + counters.length, 0);
  if (batch.results.length + inColumns > MAX_RESULTS) {
    throw new FurrowError('invalid', 'BATCH_TOO_LARGE', `at most ${MAX_RESULTS} results a batch`);
  }
}

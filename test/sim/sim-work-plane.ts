/** The work plane of one reign: grants out, results in, as coordinator/work has it. */
import type { CommandLoop } from '../../coordinator/command-loop.ts';
import type { GrantOrder } from '../../coordinator/domain/assignment.ts';
import type { GrantAnswered, ReportResults } from '../../coordinator/domain/commands.ts';
import type { Farm } from '../../coordinator/domain/farm.ts';
import {
  grantToWire,
  resultFromWire,
  sightingFromWire,
  tokenFromWire,
  verdictToWire,
} from '../../coordinator/grpc/wire.ts';
import type { Office } from '../../coordinator/office.ts';
import type { WorkPlane } from '../../coordinator/reign.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type {
  GrantReply,
  Reign,
  Result,
  ResultBatch,
  ResultReply,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { grantSubject, REIGN_SUBJECT, RESULT_SUBJECTS } from '../../proto/subjects.ts';
import { NATS, type Network, type RequestAnswer } from './network.ts';
import type { SimProcess } from './sim-process.ts';
import type { Timeline } from './timeline.ts';
import type { Witness } from './witness.ts';

export interface SimWorkPlaneOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly witness: Witness;
  readonly machine: string;
  readonly process: SimProcess;
  readonly farm: Farm;
  readonly loop: CommandLoop;
  readonly office: Office;
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
  /** Runs what may find a broken promise. */
  readonly guarded: (run: () => void) => void;
  readonly fail: (error: unknown) => void;
}

const GRANT_TIMEOUT_MS = 5_000;
const ANNOUNCE_EVERY_MS = 2_000;

export class SimWorkPlane implements WorkPlane {
  readonly #options: SimWorkPlaneOptions;
  #unsubscribe: () => void = () => {};

  constructor(options: SimWorkPlaneOptions) {
    this.#options = options;
  }

  start(): void {
    const { network, machine, process } = this.#options;
    this.#unsubscribe = network.subscribe(RESULT_SUBJECTS, {
      machine,
      process,
      handler: (payload, reply) => this.#onResults(payload as ResultBatch, reply),
      survives: true,
    });
    this.#announce();
  }

  /** As long as the program lives: one that was deposed ends at once. */
  #announce(): void {
    const { network, machine, process, farm } = this.#options;
    const reign: Reign = { farmId: farm.farmId, epoch: farm.epoch, grpcAddress: machine };
    network.send(machine, NATS, network.nats, 'reign', () =>
      network.announce(REIGN_SUBJECT, reign),
    );
    process.after(ANNOUNCE_EVERY_MS, 'announces', () => this.#announce());
  }

  stop(): void {
    this.#unsubscribe();
  }

  grant(order: GrantOrder): void {
    const { network, machine, process, witness, timeline, farm, loop, guarded } = this.#options;
    guarded(() => witness.onGrantSaid(order, farm.epoch, process.name));
    const { agentId, session, number: grantNumber } = order;
    timeline.note(`${process.name} grants ${agentId} #${grantNumber}`);
    const payload = grantToWire(order, farm);
    const subject = grantSubject(agentId, session);
    network.request<GrantReply>(machine, process, subject, payload, GRANT_TIMEOUT_MS, (reply) => {
      const answer = grantAnswer(order, reply);
      loop
        .submit({ type: 'GrantAnswered', agentId, session, grantNumber, answer })
        .catch((error: unknown) => {
          if (!(error instanceof FurrowError)) this.#options.fail(error);
        });
    });
  }

  #onResults(batch: ResultBatch, reply: (value: ResultReply) => void): void {
    this.#judge(batch).then(
      (answer) => answer && reply(answer),
      (error: unknown) => {
        // No answer: what was not decided, or is not known to be, is offered again.
        if (!(error instanceof FurrowError)) this.#options.fail(error);
      },
    );
  }

  async #judge(batch: ResultBatch): Promise<ResultReply | undefined> {
    const { witness, timeline, process, farm, loop, office, guarded } = this.#options;
    const { agentId, session } = batch;
    const storedEpoch = witness.stored.epoch;
    await office.hear(sightingFromWire(batch.seen, farm.farmId), agentId);
    const results = await this.#withMissingBlobs(batch.results);
    const command: ReportResults = { type: 'ReportResults', agentId, session, results };
    const answer = await loop.submit(command);
    if (answer.kind !== 'verdicts') return undefined;
    guarded(() => witness.onVerdictsSaid(command, answer, farm.epoch, storedEpoch));
    const kinds = answer.verdicts.map((verdict) => verdict.kind).join();
    timeline.note(`${process.name} says ${kinds} to ${agentId}`);
    const verdicts = batch.results.map((result, index) =>
      verdictToWire(result.token, answer.verdicts[index] ?? { kind: 'none' }),
    );
    return { farmId: farm.farmId, epoch: farm.epoch, verdicts, successVerdicts: [] };
  }

  #withMissingBlobs(results: readonly Result[]): Promise<ReportResults['results']> {
    return Promise.all(
      results.map(async (result) => {
        const outputs = result.outcome?.$case === 'success' ? result.outcome.value.outputs : [];
        const missingBlobs = await this.#options.findMissing(outputs.map(({ sha256 }) => sha256));
        return { ...resultFromWire(result), missingBlobs };
      }),
    );
  }
}

function grantAnswer(order: GrantOrder, reply: RequestAnswer<GrantReply>): GrantAnswered['answer'] {
  if (reply.state !== 'answered') return reply;
  const { refused, refusedAll } = reply.value;
  if (refusedAll === '') {
    const refusals = refused.map(({ token, reason }) => ({ token: tokenFromWire(token), reason }));
    return { state: 'answered', refused: refusals };
  }
  const tokens = order.steps.flatMap((step) => step.leases.map((lease) => lease.token));
  return { state: 'answered', refused: tokens.map((token) => ({ token, reason: refusedAll })) };
}

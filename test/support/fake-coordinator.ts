/**
 * The coordinator's side of both planes, without a domain behind it: a test grants what it likes,
 * judges results as it likes, and reads what the agent said.
 */
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import type { NatsConnection } from 'nats';
import { statusOf } from '../../coordinator/grpc/errors.ts';
import type { FurrowError } from '../../kit/furrow-error.ts';
import {
  AgentServiceService,
  type AdvertiseRequest,
  type AdvertiseResponse,
  type EnrolAgentResponse,
  type JoinAgentResponse,
  type LeaseEntry,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import {
  Grant,
  GrantReply,
  ResultBatch,
  ResultReply,
  Verdict,
  type Result,
  type ResultVerdict,
  type Successes,
  type StepShare,
} from '../../proto/gen/furrow/work/v1/work.ts';
import { grantSubject, RESULT_SUBJECTS } from '../../proto/subjects.ts';

type BeatStream = ServerDuplexStream<AdvertiseRequest, AdvertiseResponse>;

export interface FakeCoordinatorOptions {
  readonly nats: NatsConnection;
  readonly natsUrl: string;
  readonly token: string;
  readonly leaseTtlMs?: number;
  readonly blobUrl?: string;
  /** Default any free one. */
  readonly port?: number;
}

export class FakeCoordinator {
  readonly #options: FakeCoordinatorOptions;
  readonly #streams = new Set<BeatStream>();
  readonly beats: AdvertiseRequest[] = [];
  readonly results: Result[] = [];
  /** Merged into every answer to a beat. */
  answer: Partial<AdvertiseResponse> = {};
  /** Set: beats are refused with it. */
  beatRefusal: FurrowError | null = null;
  /** While false, beats get no answer. */
  answering = true;
  /** Set: agents are refused with it. */
  enrolRefusal: FurrowError | null = null;
  judge: (result: Result) => Omit<ResultVerdict, 'token'> | null = () => ({
    verdict: Verdict.VERDICT_ACCEPTED,
    missing: [],
  });
  #server = new Server();
  #grantNumber = 0;
  #lastAnswered: { readonly session: string; readonly number: number } | null = null;
  port = 0;

  private constructor(options: FakeCoordinatorOptions) {
    this.#options = options;
    this.#answerResults();
  }

  static async start(options: FakeCoordinatorOptions): Promise<FakeCoordinator> {
    const coordinator = new FakeCoordinator(options);
    await coordinator.listen(options.port ?? 0);
    return coordinator;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async listen(port = this.port): Promise<void> {
    this.#server = new Server();
    this.#server.addService(AgentServiceService, {
      joinAgent: (
        _call: unknown,
        reply: (error: object | null, response?: JoinAgentResponse) => void,
      ) => reply(null, { farmId: 'farm-1', key: this.#options.token, addresses: [] }),
      enrolAgent: (
        _call: unknown,
        reply: (error: object | null, response?: EnrolAgentResponse) => void,
      ) => {
        const refusal = this.enrolRefusal;
        if (refusal !== null) reply(statusOf(refusal));
        else reply(null, this.#enrolment());
      },
      advertise: (stream: BeatStream) => this.#serve(stream),
    });
    this.port = await new Promise<number>((fulfil, reject) => {
      this.#server.bindAsync(
        `127.0.0.1:${port}`,
        ServerCredentials.createInsecure(),
        (error, bound) => (error === null ? fulfil(bound) : reject(error)),
      );
    });
  }

  /** As a crash does: streams break, nobody listens. */
  stopListening(): void {
    this.#server.forceShutdown();
    this.#streams.clear();
  }

  #enrolment(): EnrolAgentResponse {
    const { natsUrl, token, blobUrl, leaseTtlMs } = this.#options;
    return {
      farmId: 'farm-1',
      natsUrls: [natsUrl],
      natsJwt: '',
      natsCa: '',
      natsServerName: '',
      natsToken: token,
      blobUrl: blobUrl ?? 'http://127.0.0.1:1',
      leaseTtlMs: leaseTtlMs ?? 15_000,
      heartbeatMs: 200,
    };
  }

  #serve(stream: BeatStream): void {
    const [bearer] = stream.metadata.get('authorization');
    if (bearer !== `Bearer ${this.#options.token}`) {
      stream.emit('error', { code: status.UNAUTHENTICATED, details: 'wrong token' });
      return;
    }
    this.#streams.add(stream);
    stream.on('error', () => this.#streams.delete(stream));
    stream.on('end', () => stream.end());
    stream.on('data', (beat: AdvertiseRequest) => {
      this.beats.push(beat);
      if (!this.answering) return;
      if (this.beatRefusal !== null) {
        stream.emit('error', statusOf(this.beatRefusal));
        return;
      }
      stream.write({
        farmId: 'farm-1',
        epoch: 1,
        beat: beat.beat,
        stop: [],
        retract: [],
        releasedGrant: 0,
        drain: false,
        leaseTtlMs: 0,
        ...this.answer,
      });
    });
  }

  #answerResults(): void {
    this.#options.nats.subscribe(RESULT_SUBJECTS, {
      callback: (_error, message) => {
        const { results, successes } = ResultBatch.decode(message.data);
        const inColumns = successes.flatMap(resultsOf);
        this.results.push(...inColumns, ...results);
        const judge = (result: Result): ResultVerdict => {
          const { verdict = 0, missing = [] } = this.judge(result) ?? {};
          return { token: result.token, verdict, missing };
        };
        const reply = ResultReply.encode({
          farmId: 'farm-1',
          epoch: 1,
          verdicts: results.map(judge),
          successVerdicts: inColumns.map((result) => judge(result).verdict),
        });
        message.respond(reply.finish());
      },
    });
  }

  /** Sends a grant to the agent that beat last, and answers its reply. */
  async grant(steps: readonly StepShare[], epoch = 1): Promise<GrantReply> {
    const last = this.beats.at(-1);
    if (last === undefined) throw new Error('no agent has beaten yet');
    this.#grantNumber += 1;
    const grant: Grant = { farmId: 'farm-1', epoch, number: this.#grantNumber, steps };
    const subject = grantSubject(last.agentId, last.session);
    const bytes = Grant.encode(grant).finish();
    const answer = await this.#options.nats.request(subject, bytes, { timeout: 5_000 });
    this.#lastAnswered = { session: last.session, number: grant.number };
    return GrantReply.decode(answer.data);
  }

  /**
   * Of the latest beat. Undefined while that is from before the last grant was handled: what a grant brings is
   * missing there because it had not come yet, and not because it is over.
   */
  inventory(): readonly LeaseEntry[] | undefined {
    const beat = this.beats.at(-1);
    const granted = this.#lastAnswered;
    if (beat?.session === granted?.session && granted !== null) {
      if ((beat?.grantsHandled ?? 0) < granted.number) return undefined;
    }
    return beat?.inventory;
  }

  close(): void {
    this.stopListening();
  }
}

/** The results that the columns stand for, as far as they say. */
function resultsOf({ jobId, step, epoch, firstCounter, counters, units }: Successes): Result[] {
  return counters.map((counter, index) => ({
    token: { epoch, counter: firstCounter + counter },
    jobId,
    step,
    unit: units[index] ?? 0,
    outcome: { $case: 'success', value: { outputs: [] } },
    startedAtMs: 0,
    endedAtMs: 0,
    peakRamBytes: 0,
  }));
}

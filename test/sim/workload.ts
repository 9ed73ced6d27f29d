/** Clients: they submit jobs and steer them, over a network that fails them, and try again as it does. */
import type { Answer, Command, SubmitJob } from '../../coordinator/domain/commands.ts';
import type { StepSpec } from '../../coordinator/domain/task.ts';
import { CoordinatorRoute } from '../../kit/coordinator-route.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Network } from './network.ts';
import type { Prng } from './prng.ts';
import { someSteps } from './sim-jobs.ts';
import { neededBlobs } from './sim-lists.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { SimProcess } from './sim-process.ts';
import { Violation } from './violation.ts';

export const CLIENT = 'client';
const CALL_TIMEOUT_MS = 10_000;
/** Submits that are under way: who waits for so many begins no more. */
const MOST_UNANSWERED = 8;
const TICKET = 'licence';
const UNREACHABLE = new FurrowError('unavailable', 'FARM_UNREACHABLE', 'simulated: nobody answers');

export interface WorkloadOptions {
  readonly network: Network;
  readonly prng: Prng;
  readonly process: SimProcess;
  /** Of all coordinators. */
  readonly addresses: readonly string[];
  /** Who answers at this address now. */
  readonly findCoordinator: (address: string) => SimCoordinator | undefined;
  readonly agentIds: readonly string[];
  /** Jobs have owners and limits, and take tickets. */
  readonly hasShares: boolean;
  readonly fail: (error: unknown) => void;
}

export class Workload {
  readonly #options: WorkloadOptions;
  /** Jobs whose submit was acknowledged, by what was submitted. */
  readonly #submitted: { readonly job: number; readonly command: SubmitJob }[] = [];
  /** Jobs that are removed, or will be if they have ended: their client ids may be used again. */
  readonly #removing = new Set<number>();
  #made = 0;
  #isOpen = true;
  #unanswered = 0;
  #failedInARow = 0;
  readonly #route: CoordinatorRoute;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#route = new CoordinatorRoute(options.addresses.join());
  }

  get jobs(): readonly number[] {
    return this.#submitted.map(({ job }) => job);
  }

  /** True once every submit that was begun is acknowledged. */
  get isAcknowledged(): boolean {
    return this.#unanswered === 0;
  }

  start(): void {
    if (this.#options.hasShares) this.#until({ type: 'SetTickets', name: TICKET, limit: 2 });
    this.#next();
  }

  /** No more new jobs; what is paused goes on, what is drained works again. */
  close(): void {
    this.#isOpen = false;
    for (const agent of this.#options.agentIds) {
      this.#until({ type: 'DrainAgent', agent, draining: false });
    }
    for (const job of this.jobs) this.#until({ type: 'ResumeJob', job, reason: '' });
  }

  #next(): void {
    const { process, prng } = this.#options;
    // A large farm has more clients.
    const crowd = Math.max(1, this.#options.agentIds.length / 30);
    process.after(prng.longTailed(400, 15_000) / crowd, 'acts', () => {
      if (!this.#isOpen) return;
      this.#act();
      this.#next();
    });
  }

  #act(): void {
    const { prng, agentIds } = this.#options;
    const known = prng.pickAny(this.#submitted.filter(({ job }) => !this.#removing.has(job)));
    if (this.#unanswered > MOST_UNANSWERED) return;
    if (known === undefined || prng.chance(0.45)) return this.#submit(this.#newJob());
    const { job } = known;
    this.#look(job);
    const roll = prng.next();
    if (roll < 0.2) return this.#repeat(known.job, known.command);
    if (roll < 0.35) return this.#once({ type: 'CancelJob', job, reason: 'simulated' });
    if (roll < 0.5) return this.#once({ type: 'PauseJob', job, reason: '' });
    if (roll < 0.65) return this.#once({ type: 'ResumeJob', job, reason: '' });
    if (roll < 0.85) return this.#once({ type: 'RetryJob', job, reason: '' });
    if (roll < 0.92) return this.#remove(job);
    if (this.#options.hasShares && prng.chance(0.3)) return this.#share();
    this.#once({ type: 'DrainAgent', agent: prng.pick(agentIds), draining: prng.chance(0.4) });
  }

  /** Asks which inputs are missing, uploads those, thinks a while, then submits. */
  #submit(command: SubmitJob): void {
    this.#unanswered += 1;
    const inputs = neededBlobs(command.steps);
    if (inputs.length === 0) return this.#untilSubmitted(command);
    const { process, prng } = this.#options;
    this.#withBlobs(inputs, () => {
      const thinksMs = prng.longTailed(1, 60_000);
      process.after(thinksMs, 'has its blobs there', () => this.#untilSubmitted(command));
    });
  }

  /** Calls back when the coordinator has said that it has all of them. */
  #withBlobs(hashes: readonly string[], ready: () => void): void {
    const { process } = this.#options;
    this.#ask<readonly string[]>(
      'asks for blobs',
      (coordinator) => coordinator.findMissing(hashes),
      (missing) => {
        if (missing?.length === 0) return ready();
        for (const sha256 of missing ?? []) this.#upload(sha256);
        process.after(this.#pauseMs(), 'asks again', () => this.#withBlobs(hashes, ready));
      },
    );
  }

  #upload(sha256: string): void {
    const { network, findCoordinator } = this.#options;
    const coordinator = findCoordinator(this.#route.address);
    if (coordinator === undefined) return;
    network.send(CLIENT, coordinator.machine, coordinator.process, 'upload', () =>
      coordinator.blobs.receive(sha256, 'asked', () => {}),
    );
  }

  /** Until it is acknowledged: with the same client id each time. */
  #untilSubmitted(command: SubmitJob): void {
    this.#until(command, (answer) => {
      this.#unanswered -= 1;
      if (answer.kind !== 'job') return;
      this.#submitted.push({ job: answer.job, command });
      // As whoever submits and watches: at any coordinator, also one that does not know that it lost its lead.
      this.#look(answer.job);
      this.#retryLater(answer.job);
    });
  }

  /** Somebody looks after a while, and retries what has failed. */
  #retryLater(job: number): void {
    const { process, prng } = this.#options;
    process.after(prng.longTailed(5_000, 120_000), 'looks after its job', () => {
      if (this.#isOpen) this.#once({ type: 'RetryJob', job, reason: '' });
    });
  }

  /** The same again, or the same client id for something else. */
  #repeat(job: number, command: SubmitJob): void {
    const isOther = this.#options.prng.chance(0.3);
    const again = isOther ? { ...command, requestHash: 'another' } : command;
    this.#call(again, (answer) => {
      const isRight = isOther
        ? answer?.kind === 'refused' && answer.reason === 'CLIENT_ID_REUSED'
        : answer?.kind === 'job' && answer.job === job;
      if (answer === undefined || isRight || this.#removing.has(job)) return;
      const message = `a repeat of ${command.clientId} was answered ${JSON.stringify(answer)}`;
      this.#options.fail(new Violation('acknowledged-lost', message));
    });
  }

  /** Somebody changes what there is to share, or who gets how much. */
  #share(): void {
    const { prng } = this.#options;
    const name = prng.pick(OWNERS);
    if (prng.chance(0.5)) {
      this.#once({ type: 'SetTickets', name: TICKET, limit: prng.whole(1, 4) });
    } else {
      const maxUnits = prng.pick([0, 0, 3]);
      this.#once({ type: 'SetOwner', name, weight: prng.whole(1, 3), maxUnits });
    }
  }

  #remove(job: number): void {
    this.#removing.add(job);
    this.#once({ type: 'RemoveJob', job });
  }

  #once(command: Command): void {
    this.#call(command, (answer) => {
      if (answer?.kind !== 'refused' || answer.reason !== 'JOB_UNKNOWN' || !('job' in command))
        return;
      if (this.#removing.has(command.job)) return;
      const message = `${command.type} of j${command.job} was answered that there is no such job`;
      this.#options.fail(new Violation('acknowledged-lost', message));
    });
  }

  #until(command: Command, done: (answer: Answer) => void = () => {}): void {
    const { process } = this.#options;
    this.#call(command, (answer) => {
      // A GPU that nobody has yet may still come back.
      const reason = answer?.kind === 'refused' ? answer.reason : '';
      if (reason === 'BLOB_MISSING' && command.type === 'SubmitJob') {
        return this.#withBlobs(neededBlobs(command.steps), () => this.#until(command, done));
      }
      if (answer !== undefined && reason !== 'DEMAND_TOO_LARGE') return done(answer);
      process.after(this.#pauseMs(), 'tries again', () => this.#until(command, done));
    });
  }

  /** The longer nobody serves, the longer. */
  #pauseMs(): number {
    const { prng } = this.#options;
    return prng.between(200, Math.min(10_000, 1_000 * 2 ** Math.min(this.#failedInARow, 10)));
  }

  /** One call with a deadline; undefined when it had no answer, or none that says anything. */
  #call(command: Command, settle: (answer: Answer | undefined) => void): void {
    this.#ask(command.type, (coordinator) => coordinator.call(command), settle);
  }

  /** Undefined when nobody serves it; the next call goes elsewhere then. */
  #ask<T>(
    what: string,
    serve: (coordinator: SimCoordinator) => Promise<T | FurrowError>,
    settle: (answer: T | undefined) => void,
  ): void {
    const { network, process, findCoordinator } = this.#options;
    const { address } = this.#route;
    const turnAway = (error: FurrowError): void => {
      this.#failedInARow += 1;
      this.#route.failed(error, address);
      settle(undefined);
    };
    const coordinator = findCoordinator(address);
    if (coordinator === undefined) {
      process.after(500, 'finds no coordinator', () => turnAway(UNREACHABLE));
      return;
    }
    let isOpen = true;
    const once = (answer: T | FurrowError): void => {
      if (!isOpen) return;
      isOpen = false;
      cancel();
      if (answer instanceof FurrowError) return turnAway(answer);
      this.#failedInARow = 0;
      this.#route.served(address);
      settle(answer);
    };
    const cancel = process.clock.after(CALL_TIMEOUT_MS, () => once(UNREACHABLE));
    network.send(CLIENT, coordinator.machine, coordinator.process, what, () => {
      void serve(coordinator).then((answer) => {
        network.send(coordinator.machine, CLIENT, process, `${what} answered`, () => once(answer));
      });
    });
  }

  /** Somebody looks at a job, at whichever coordinator. */
  #look(job: number): void {
    const { network, prng, addresses, findCoordinator } = this.#options;
    const coordinator = findCoordinator(prng.pick(addresses));
    if (coordinator === undefined) return;
    network.send(CLIENT, coordinator.machine, coordinator.process, 'look', () => {
      void coordinator.look(job);
    });
  }

  #newJob(): SubmitJob {
    const { prng } = this.#options;
    this.#made += 1;
    return {
      type: 'SubmitJob',
      clientId: `client-${this.#made}`,
      requestHash: prng.hex(16),
      name: `job ${this.#made}`,
      priority: prng.pick([0, 0, 0, 5, -5]),
      recipe: '',
      steps: this.#options.hasShares ? withTickets(prng, someSteps(prng)) : someSteps(prng),
      missingBlobs: [],
      ...(this.#options.hasShares ? someShares(prng) : {}),
    };
  }
}

const OWNERS = ['ann', 'bob', 'carl'];

function someShares(prng: Prng): Pick<SubmitJob, 'owner' | 'maxUnits'> {
  return { owner: prng.pick(OWNERS), maxUnits: prng.pick([0, 0, 2]) };
}

function withTickets(prng: Prng, steps: readonly StepSpec[]): StepSpec[] {
  return steps.map((step) => {
    if (step.demand === undefined || prng.chance(0.6)) return step;
    return { ...step, demand: { ...step.demand, tickets: { [TICKET]: 1 } } };
  });
}

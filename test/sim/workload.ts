/** Clients: they submit jobs and steer them, over a network that fails them, and try again as it does. */
import { inputBlobs } from '../../coordinator/domain/assignment.ts';
import type { Answer, Command, SubmitJob } from '../../coordinator/domain/commands.ts';
import { NO_DEMAND } from '../../coordinator/domain/demand.ts';
import type { Demand, Input, StepSpec } from '../../coordinator/domain/task.ts';
import type { Network } from './network.ts';
import type { Prng } from './prng.ts';
import { sharedBlob } from './sim-agent.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { SimProcess } from './sim-process.ts';
import { Violation } from './witness.ts';

export const CLIENT = 'client';
const CALL_TIMEOUT_MS = 10_000;
const GIB = 2 ** 30;

export interface WorkloadOptions {
  readonly network: Network;
  readonly prng: Prng;
  readonly process: SimProcess;
  readonly findCoordinator: () => SimCoordinator | undefined;
  readonly agentIds: readonly string[];
  readonly fail: (error: unknown) => void;
}

export class Workload {
  readonly #options: WorkloadOptions;
  /** Jobs whose submit was acknowledged, by what was submitted. */
  readonly #submitted: { readonly job: number; readonly command: SubmitJob }[] = [];
  #made = 0;
  #isOpen = true;
  #unanswered = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  get jobs(): readonly number[] {
    return this.#submitted.map(({ job }) => job);
  }

  /** True once every submit that was begun is acknowledged. */
  get isAcknowledged(): boolean {
    return this.#unanswered === 0;
  }

  start(): void {
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
    const known = prng.pickAny(this.#submitted);
    if (known === undefined || prng.chance(0.45)) return this.#submit(this.#newJob());
    const { job } = known;
    const roll = prng.next();
    if (roll < 0.2) return this.#repeat(known.job, known.command);
    if (roll < 0.35) return this.#once({ type: 'CancelJob', job, reason: 'simulated' });
    if (roll < 0.5) return this.#once({ type: 'PauseJob', job, reason: '' });
    if (roll < 0.65) return this.#once({ type: 'ResumeJob', job, reason: '' });
    if (roll < 0.9) return this.#once({ type: 'RetryJob', job, reason: '' });
    this.#once({ type: 'DrainAgent', agent: prng.pick(agentIds), draining: prng.chance(0.4) });
  }

  /** Asks which inputs are missing, uploads those, thinks a while, then submits. */
  #submit(command: SubmitJob): void {
    this.#unanswered += 1;
    const inputs = inputBlobs(command.steps);
    if (inputs.length === 0) return this.#untilSubmitted(command);
    const { process, prng } = this.#options;
    this.#withBlobs(inputs, () => {
      const thinksMs = prng.longTailed(1, 60_000);
      process.after(thinksMs, 'has its blobs there', () => this.#untilSubmitted(command));
    });
  }

  /** Calls back when the coordinator has said that it has all of them. */
  #withBlobs(hashes: readonly string[], ready: () => void): void {
    const { process, prng } = this.#options;
    this.#ask<readonly string[]>(
      'asks for blobs',
      (coordinator) => Promise.resolve(coordinator.findMissing(hashes)),
      (missing) => {
        if (missing?.length === 0) return ready();
        for (const sha256 of missing ?? []) this.#upload(sha256);
        process.after(prng.between(100, 3_000), 'asks again', () => this.#withBlobs(hashes, ready));
      },
    );
  }

  #upload(sha256: string): void {
    const { network, findCoordinator } = this.#options;
    const coordinator = findCoordinator();
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
      if (answer === undefined || isRight) return;
      const message = `a repeat of ${command.clientId} was answered ${JSON.stringify(answer)}`;
      this.#options.fail(new Violation('acknowledged-lost', message));
    });
  }

  #once(command: Command): void {
    this.#call(command, () => {});
  }

  #until(command: Command, done: (answer: Answer) => void = () => {}): void {
    const { process, prng } = this.#options;
    this.#call(command, (answer) => {
      // A GPU that nobody has yet may still come back.
      const reason = answer?.kind === 'refused' ? answer.reason : '';
      if (reason === 'BLOB_MISSING' && command.type === 'SubmitJob') {
        return this.#withBlobs(inputBlobs(command.steps), () => this.#until(command, done));
      }
      if (answer !== undefined && reason !== 'DEMAND_TOO_LARGE') return done(answer);
      process.after(prng.between(200, 3_000), 'tries again', () => this.#until(command, done));
    });
  }

  /** One call with a deadline; undefined when it had no answer, or none that says anything. */
  #call(command: Command, settle: (answer: Answer | undefined) => void): void {
    this.#ask(command.type, (coordinator) => coordinator.call(command), settle);
  }

  #ask<T>(
    what: string,
    serve: (coordinator: SimCoordinator) => Promise<T | undefined>,
    settle: (answer: T | undefined) => void,
  ): void {
    const { network, process, findCoordinator } = this.#options;
    const coordinator = findCoordinator();
    if (coordinator === undefined) {
      process.after(500, 'finds no coordinator', () => settle(undefined));
      return;
    }
    let isOpen = true;
    const once = (answer: T | undefined): void => {
      if (!isOpen) return;
      isOpen = false;
      cancel();
      settle(answer);
    };
    const cancel = process.clock.after(CALL_TIMEOUT_MS, () => once(undefined));
    network.send(CLIENT, coordinator.machine, coordinator.process, what, () => {
      void serve(coordinator).then((answer) => {
        network.send(coordinator.machine, CLIENT, process, `${what} answered`, () => once(answer));
      });
    });
  }

  #newJob(): SubmitJob {
    const { prng } = this.#options;
    this.#made += 1;
    const shape = prng.next();
    const steps = shape < 0.4 ? film(prng) : shape < 0.7 ? chain(prng) : fan(prng);
    return {
      type: 'SubmitJob',
      clientId: `client-${this.#made}`,
      requestHash: prng.hex(16),
      name: `job ${this.#made}`,
      priority: prng.pick([0, 0, 0, 5, -5]),
      recipe: '',
      steps,
      missingBlobs: [],
    };
  }
}

/** split → encode each piece → concat, with a second fan-out behind it now and then. */
function film(prng: Prng): StepSpec[] {
  const demand = someDemand(prng);
  return [
    step('split', prng, { inputs: [sourceFile(prng)], outputs: ['piece-*'] }),
    step('encode', prng, {
      demand,
      forEach: { step: 'split', pattern: 'piece-*' },
      inputs: [{ kind: { $case: 'item', value: true } }],
      outputs: prng.chance(0.3) ? ['part-*'] : ['part'],
    }),
    step('concat', prng, {
      inputs: [{ kind: { $case: 'outputs', value: { step: 'encode', pattern: 'part*' } } }],
      outputs: ['film'],
    }),
    ...(prng.chance(0.3)
      ? [step('thumbs', prng, { forEach: { step: 'encode', pattern: 'part*' } })]
      : []),
  ];
}

function chain(prng: Prng): StepSpec[] {
  return [
    step('first', prng, {
      inputs: [sourceFile(prng)],
      values: ['red', 'green', 'blue'],
      outputs: ['out'],
    }),
    step('second', prng, { dependsOn: ['first'], count: prng.whole(1, 4) }),
  ];
}

function fan(prng: Prng): StepSpec[] {
  return [step('work', prng, { count: prng.whole(1, 40), demand: someDemand(prng) })];
}

function sourceFile(prng: Prng): Input {
  const file = { name: 'source', sha256: sharedBlob(prng), sizeBytes: 1_000_000 };
  return { kind: { $case: 'file', value: file } };
}

interface StepShape {
  readonly dependsOn?: readonly string[];
  readonly count?: number;
  readonly values?: readonly string[];
  readonly forEach?: { readonly step: string; readonly pattern: string };
  readonly inputs?: readonly Input[];
  readonly outputs?: readonly string[];
  readonly demand?: Demand;
}

function step(name: string, prng: Prng, shape: StepShape): StepSpec {
  return {
    name,
    dependsOn: shape.dependsOn ?? [],
    parameters: parametersOf(shape),
    task: { kind: { $case: 'noop', value: {} } },
    inputs: shape.inputs ?? [],
    outputs: (shape.outputs ?? []).map((pattern) => ({ pattern, keep: false, optional: false })),
    demand: shape.demand ?? { ...NO_DEMAND, cpuMillis: 500 },
    limits: { maxAttempts: prng.whole(1, 6), runTimeoutMs: 0, stallTimeoutMs: 30_000 },
  };
}

function parametersOf(shape: StepShape): StepSpec['parameters'] {
  if (shape.count !== undefined) return { kind: { $case: 'count', value: shape.count } };
  if (shape.values !== undefined) {
    return { kind: { $case: 'values', value: { values: shape.values } } };
  }
  if (shape.forEach !== undefined) return { kind: { $case: 'forEach', value: shape.forEach } };
  return undefined;
}

/** Fits at least one agent of every simulated farm. */
function someDemand(prng: Prng): Demand {
  const cpuMillis = prng.pick([250, 500, 1_000, 2_000]);
  const ramBytes = prng.pick([0, GIB / 2, GIB, 2 * GIB]);
  if (prng.chance(0.7)) return { ...NO_DEMAND, cpuMillis, ramBytes };
  const vramBytes = prng.pick([GIB, 2 * GIB, 6 * GIB]);
  return { ...NO_DEMAND, cpuMillis, ramBytes, gpus: 1, vramBytes };
}

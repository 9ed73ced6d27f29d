/** The processes that play the agents of `agents`, seen from the benchmark. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killOnExit } from '../../cli/up/kill-on-exit.ts';
import type { BenchFarm } from './bench-farm.ts';
import type { Orders, Told } from './simulated-agents.ts';

const HEARTBEAT_MS = 3_000;
const PROCESSES = 2;
const POLL_MS = 20;
const ARRIVAL_LIMIT_MS = 300_000;
const PLACED_LIMIT_MS = 30_000;
const NS_PER_MS = 1e6;

/** A job, and when it was asked for by the machine's monotonic clock. */
export interface Submit {
  readonly jobId: string;
  readonly atNs: bigint;
}

type Count = Extract<Told, { readonly kind: 'answered' }>;

export class Crowd {
  readonly #count: number;
  readonly #children: ChildProcess[] = [];
  readonly #grantedAtNs = new Map<string, bigint>();
  readonly #counts = new Map<ChildProcess, Count>();
  #failure: string | undefined;

  /** They come as soon as they can. */
  constructor(farm: BenchFarm, count: number) {
    this.#count = count;
    for (let process = 0; process < PROCESSES; process += 1) {
      const child = fork(join(import.meta.dirname, 'simulated-agents.js'), { detached: true });
      killOnExit(child);
      this.#children.push(child);
      this.#listen(child);
      const orders: Orders = {
        grpc: farm.client.address,
        nats: farm.natsUrl,
        token: farm.token,
        prefix: `sim-${process}`,
        // Together as many as were asked for.
        count: Math.floor((count + process) / PROCESSES),
        heartbeatMs: HEARTBEAT_MS,
      };
      child.send(orders);
    }
  }

  get beatsAnswered(): number {
    return this.#sum(({ beats }) => beats);
  }

  /** Waits until all are online. Answers how long it took. */
  async arrivalMs(): Promise<number> {
    const startMs = performance.now();
    while (this.#sum(({ online }) => online) < this.#count) {
      this.#check(performance.now() - startMs < ARRIVAL_LIMIT_MS, 'not all agents came');
      await sleep(POLL_MS);
    }
    return performance.now() - startMs;
  }

  /** From each submit to the arrival of its grant; settles when the last has come. */
  async placementsMs(submits: readonly Submit[]): Promise<number[]> {
    const startMs = performance.now();
    const isMissing = ({ jobId }: Submit): boolean => !this.#grantedAtNs.has(jobId);
    while (submits.some(isMissing)) {
      this.#check(performance.now() - startMs < PLACED_LIMIT_MS, 'not all units were placed');
      await sleep(POLL_MS);
    }
    return submits.map(
      ({ jobId, atNs }) => Number((this.#grantedAtNs.get(jobId) ?? 0n) - atNs) / NS_PER_MS,
    );
  }

  stop(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #sum(pick: (count: Count) => number): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + pick(count), 0);
  }

  #check(isInTime: boolean, otherwise: string): void {
    const failure = this.#failure ?? (isInTime ? undefined : otherwise);
    if (failure !== undefined) throw new Error(failure);
  }

  #listen(child: ChildProcess): void {
    void once(child, 'exit').then(() => (this.#failure ??= 'a process of simulated agents ended'));
    child.on('message', (told: Told) => {
      switch (told.kind) {
        case 'granted':
          this.#grantedAtNs.set(told.jobId, BigInt(told.atNs));
          return;
        case 'answered':
          this.#counts.set(child, told);
          return;
        case 'failed':
          this.#failure ??= told.message;
      }
    });
  }
}

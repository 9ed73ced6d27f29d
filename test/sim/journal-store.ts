/**
 * The journal's stream as nats-server keeps it, and a leader's way to it. Commits are stored as the
 * bytes that the real codec makes; the store compares sequences and nothing else. The way there loses,
 * delays and doubles, so that an append may be stored without its answer, or later than its time-out.
 */
import { EMPTY_TAIL, follow, type Tail } from '../../coordinator/journal/chain.ts';
import {
  decodeCommit,
  hashOf,
  MAX_COMMIT_BYTES,
  measureFact,
  sealCommit,
  type SealedCommit,
} from '../../coordinator/journal/commit-codec.ts';
import type { Fact } from '../../coordinator/domain/facts.ts';
import type { AppendOutcome, CommitRecord, Journal } from '../../coordinator/ports.ts';
import { NATS, type Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimProcess } from './sim-process.ts';

type StoreAnswer =
  | { readonly state: 'stored'; readonly sequence: number }
  | { readonly state: 'not-stored' }
  | { readonly state: 'rejected' };

export class JournalStore {
  readonly messages: Uint8Array[] = [];
  /** True while the disk is full. */
  isFull = false;
  readonly #onStored: (commit: CommitRecord) => void;

  /** `onStored` is called in the moment in which a commit is on disk. */
  constructor(onStored: (commit: CommitRecord) => void) {
    this.#onStored = onStored;
  }

  append(bytes: Uint8Array, expectedLast: number): StoreAnswer {
    if (expectedLast !== this.messages.length) return { state: 'not-stored' };
    if (this.isFull) return { state: 'rejected' };
    this.messages.push(bytes);
    const sequence = this.messages.length;
    this.#onStored(decodeCommit(bytes, sequence));
    return { state: 'stored', sequence };
  }

  tail(): { readonly sequence: number; readonly hash: string } {
    const last = this.messages.at(-1);
    return { sequence: this.messages.length, hash: last === undefined ? '' : hashOf(last) };
  }
}

const PUBLISH_TIMEOUT_MS = 2_000;
const FIRST_BACK_OFF_MS = 50;
const MOST_BACK_OFF_MS = 2_000;

export interface SimJournalOptions {
  readonly store: JournalStore;
  readonly network: Network;
  readonly machine: string;
  readonly process: SimProcess;
  readonly prng: Prng;
}

/** Settles doubt as the real journal does: reads the tail and sends the same bytes again. */
export class SimJournal implements Journal {
  readonly maxCommitBytes = MAX_COMMIT_BYTES;
  readonly #options: SimJournalOptions;
  readonly #writerId: Uint8Array;
  #tail: Tail = EMPTY_TAIL;
  #isAppending = false;
  #isOwing = false;
  /** How many facts came by to be measured: tells whether anything was decided since. */
  measured = 0;

  constructor(options: SimJournalOptions) {
    this.#options = options;
    this.#writerId = Buffer.from(options.prng.hex(32), 'hex');
  }

  get farmId(): string {
    return this.#tail.farmId ?? '';
  }

  /** True while facts that were decided are not known to be stored. */
  get isOwing(): boolean {
    return this.#isOwing;
  }

  measure(fact: Fact): number {
    this.measured += 1;
    return measureFact(fact);
  }

  /** Everything that is stored now. The reading itself meets no faults: a start that fails starts again. */
  replay(onCommit: (commit: CommitRecord) => void): void {
    this.#options.store.messages.forEach((bytes, index) => {
      const commit = decodeCommit(bytes, index + 1);
      this.#tail = follow(this.#tail, commit);
      onCommit(commit);
    });
  }

  /** The election. The facts of the first commit of the reign, or undefined for one who lost. */
  async startEpoch(atMs: number): Promise<readonly Fact[] | undefined> {
    const epoch = this.#tail.epoch + 1;
    const farmId = this.#tail.farmId ?? 'simulated-farm';
    const facts: Fact[] = [{ type: 'EpochStarted', epoch, atMs }];
    if (this.#tail.farmId === undefined) facts.unshift({ type: 'FarmCreated', farmId, atMs });
    const outcome = await this.#append(facts, farmId, epoch, atMs);
    return outcome.state === 'committed' ? facts : undefined;
  }

  append(facts: readonly Fact[], epoch: number, atMs: number): Promise<AppendOutcome> {
    return this.#append(facts, this.farmId, epoch, atMs);
  }

  async #append(
    facts: readonly Fact[],
    farmId: string,
    epoch: number,
    atMs: number,
  ): Promise<AppendOutcome> {
    if (this.#isAppending) throw new Error('two appends are in flight');
    this.#isAppending = true;
    this.#isOwing = true;
    const { number, hash: previousHash } = this.#tail;
    const writerId = this.#writerId;
    const header = { farmId, epoch, writerId, number: number + 1, previousHash, atMs };
    const sealed = sealCommit(header, facts);
    const outcome = await this.#settle(sealed);
    if (outcome.state === 'committed') {
      const { sequence } = outcome;
      this.#tail = { farmId, epoch, number: sealed.number, sequence, hash: sealed.hash };
    }
    this.#isAppending = false;
    // One that is refused is offered again: its facts are still decided and not stored.
    this.#isOwing = outcome.state === 'refused';
    return outcome;
  }

  async #settle(sealed: SealedCommit): Promise<AppendOutcome> {
    const { sequence: expected, hash } = this.#tail;
    let mayStillArrive = false;
    for (let tries = 0; ; tries += 1) {
      const answer = await this.#publish(sealed.bytes, expected);
      if (answer?.state === 'stored') {
        return { state: 'committed', number: sealed.number, sequence: answer.sequence };
      }
      mayStillArrive ||= answer === undefined;
      const tail = await this.#readTail();
      if (tail.sequence === expected + 1 && tail.hash === sealed.hash) {
        return { state: 'committed', number: sealed.number, sequence: tail.sequence };
      }
      if (tail.sequence !== expected || tail.hash !== hash) {
        return { state: 'superseded', message: 'another coordinator leads' };
      }
      if (answer?.state === 'rejected' && !mayStillArrive) {
        return { state: 'refused', message: 'the store is full' };
      }
      await this.#backOff(tries);
    }
  }

  /** Undefined when no answer came in time. */
  #publish(bytes: Uint8Array, expected: number): Promise<StoreAnswer | undefined> {
    return this.#ask(PUBLISH_TIMEOUT_MS, 'append', () =>
      this.#options.store.append(bytes, expected),
    );
  }

  async #readTail(): Promise<{ readonly sequence: number; readonly hash: string }> {
    for (let tries = 0; ; tries += 1) {
      const tail = await this.#ask(PUBLISH_TIMEOUT_MS, 'tail', () => this.#options.store.tail());
      if (tail !== undefined) return tail;
      await this.#backOff(tries);
    }
  }

  #ask<T>(timeoutMs: number, what: string, serve: () => T): Promise<T | undefined> {
    const { network, machine, process } = this.#options;
    return new Promise((resolve) => {
      const cancel = process.clock.after(timeoutMs, () => resolve(undefined));
      network.send(machine, NATS, network.nats, `journal ${what}`, () => {
        const answer = serve();
        network.send(NATS, machine, process, `journal ${what} answered`, () => {
          cancel();
          resolve(answer);
        });
      });
    });
  }

  #backOff(tries: number): Promise<void> {
    const { process, prng } = this.#options;
    const mostMs = Math.min(MOST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(tries, 10));
    return new Promise((resolve) => {
      process.clock.after(mostMs * prng.between(0.5, 1), resolve);
    });
  }
}

/** One agent: a machine with its processes and its disk, which outlive the runs of its program. */
import type { OutboxStorage } from '../../agent/outbox.ts';
import type { StateFile } from '../../agent/state-file.ts';
import { tokenKey, type TokenKey } from '../../agent/token-key.ts';
import { tokenFromWire } from '../../coordinator/grpc/wire.ts';
import type { Logger } from '../../kit/log.ts';
import type { Capacity, Token } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Result, ResultBatch } from '../../proto/gen/furrow/work/v1/work.ts';
import { RESULT_SUBJECTS } from '../../proto/subjects.ts';
import { AgentRun } from './agent-run.ts';
import type { Network } from './network.ts';
import type { Prng } from './prng.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import { SimProcess, type ClockFault } from './sim-process.ts';
import type { UnitWeather } from './sim-units.ts';
import type { Timeline } from './timeline.ts';
import type { Witness } from './witness.ts';

export interface SimAgentOptions {
  readonly timeline: Timeline;
  readonly network: Network;
  readonly witness: Witness;
  readonly prng: Prng;
  readonly agentId: string;
  readonly capacity: Capacity;
  readonly clockFault: ClockFault;
  readonly units: UnitWeather;
  readonly log: Logger;
  readonly farmId: string;
  readonly leaseTtlMs: number;
  /** Of all coordinators. */
  readonly addresses: readonly string[];
  /** Who answers at this address now. */
  readonly findCoordinator: (address: string) => SimCoordinator | undefined;
  readonly fail: (error: unknown) => void;
}

/** What stands on the disk; `flushed` survives a power cut. */
interface Stored {
  readonly result: Result;
  flushed: boolean;
}

const RESULT_TIMEOUT_MS = 15_000;
const REMEMBERED = 30;

export class SimAgent {
  readonly #options: SimAgentOptions;
  readonly #disk = new Map<TokenKey, Stored>();
  /** Process groups on the machine, ours or left over from a run before. */
  readonly #running = new Set<Token>();
  #run: AgentRun | undefined;
  #runs = 0;
  /** Small files on its disk, by name. */
  readonly #files = new Map<string, string>();
  /** Some of what it has offered. */
  readonly #offered: ResultBatch[] = [];

  constructor(options: SimAgentOptions) {
    this.#options = options;
  }

  get agentId(): string {
    return this.#options.agentId;
  }

  get process(): SimProcess | undefined {
    return this.#run?.process;
  }

  get isIdle(): boolean {
    return this.#run?.isIdle === true;
  }

  /** Starts the program. What an earlier run left running is ended before it says a word. */
  start(): void {
    if (this.#run?.process.isAlive === true) return;
    const { timeline, agentId, clockFault, prng, witness } = this.#options;
    this.#runs += 1;
    const process = new SimProcess(timeline, `${agentId}.${this.#runs}`, clockFault);
    for (const token of this.#running) witness.custody.onReleased(agentId, tokenFromWire(token));
    this.#running.clear();
    this.#run = new AgentRun(this.#options, process, prng.hex(16), {
      storage: this.#storage(process),
      running: this.#running,
      seenFile: this.#file('farm-seen'),
      startFile: this.#file('session-start'),
      offered: (batch) => this.#remember(batch),
    });
  }

  #file(name: string): StateFile {
    return {
      path: `${this.agentId}/${name}`,
      read: () => this.#files.get(name),
      replace: (text) => void this.#files.set(name, text),
    };
  }

  #remember(batch: ResultBatch): void {
    const at =
      this.#offered.length < REMEMBERED ? this.#offered.length : batch.results.length % REMEMBERED;
    this.#offered[at] = batch;
  }

  /** kill -9: its units run on, without anybody. */
  kill(): void {
    this.#run?.process.kill();
    this.#options.witness.custody.onProgramEnded(this.agentId);
  }

  /** Power cut: units end, and what the disk had not flushed is gone or not, as it happens. */
  cutPower(): void {
    const { prng, witness, agentId } = this.#options;
    this.kill();
    for (const token of this.#running) witness.custody.onReleased(agentId, tokenFromWire(token));
    this.#running.clear();
    for (const [key, stored] of this.#disk) {
      if (!stored.flushed && prng.chance(0.5)) this.#disk.delete(key);
    }
  }

  leave(): void {
    this.#run?.leave();
  }

  /** Something it said long ago arrives again, as it was or garbled by `garble`. */
  offerAgain(garble: (result: Result) => Result): void {
    const { network, prng, agentId } = this.#options;
    const batch = prng.pickAny(this.#offered);
    const process = this.#run?.process;
    if (batch === undefined || process?.isAlive !== true) return;
    const results = batch.results.map(garble);
    const payload = { ...batch, results };
    network.request(agentId, process, RESULT_SUBJECTS, payload, RESULT_TIMEOUT_MS, () => {});
  }

  breakStream(): void {
    this.#run?.breakStream();
  }

  /** Somebody sets the machine's clock; it stays so. */
  setClock(byMs: number): void {
    this.#options.clockFault.wallOffsetMs += byMs;
  }

  #storage(process: SimProcess): OutboxStorage {
    const { prng, units, witness, agentId } = this.#options;
    const soon = (run: () => void): void => {
      process.after(prng.longTailed(0.1, units.mostDiskMs), 'disk', run);
    };
    return {
      load: () => Promise.resolve([...this.#disk.values()].map(({ result }) => result)),
      save: (result) =>
        new Promise((resolve, reject) => {
          // One that never ran is handed back with a result, too.
          witness.custody.onReleased(agentId, tokenFromWire(tokenOf(result)));
          const stored: Stored = { result, flushed: false };
          const fails = prng.chance(units.diskFailure);
          if (!fails) this.#disk.set(tokenKey(tokenOf(result)), stored);
          soon(() => {
            stored.flushed = true;
            if (fails) reject(new Error('no space left on the simulated disk'));
            else resolve();
          });
        }),
      remove: (token) =>
        new Promise((resolve) => {
          // It is out of the inventory before its file goes; nothing of it can start any more.
          witness.custody.onReleased(agentId, tokenFromWire(token));
          this.#disk.delete(tokenKey(token));
          soon(resolve);
        }),
    };
  }
}

function tokenOf(result: Result): Token {
  if (result.token === undefined) throw new Error('a result without a token');
  return result.token;
}

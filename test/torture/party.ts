/**
 * One process of the tortured farm. It is killed, stopped and started again at will, on the same ports
 * and state; one that ends by itself is started again, as a supervisor would, and how it ended is kept.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { processesUnder } from '../support/processes.ts';

export type PartyKind = 'coordinator' | 'agent' | 'nats' | 'client';

export interface PartyOptions {
  readonly name: string;
  readonly kind: PartyKind;
  readonly program: string;
  readonly argv: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly logPath: string;
}

/** An end that nobody ordered. */
export interface UnorderedEnd {
  readonly party: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly atMs: number;
  /** What its log ended with. */
  readonly lastWords: string;
}

const RESTART_MS = 500;
const LAST_LINES = 3;
const LAST_CHARACTERS = 600;

export class Party {
  readonly name: string;
  readonly kind: PartyKind;
  readonly logPath: string;
  readonly unorderedEnds: UnorderedEnd[] = [];
  readonly #options: PartyOptions;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  /** Whether it should be there now. */
  #isWanted = false;
  #stopped: number[] = [];

  constructor(options: PartyOptions) {
    this.#options = options;
    this.name = options.name;
    this.kind = options.kind;
    this.logPath = options.logPath;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
      return undefined;
    }
    return child.pid;
  }

  start(): void {
    this.#isWanted = true;
    if (this.pid !== undefined) return;
    const { program, argv, environment, logPath } = this.#options;
    const log = openSync(logPath, 'a');
    // Its standard input ends with this process: roles end with it.
    const child = spawn(program, argv, {
      stdio: ['pipe', log, log],
      env: environment,
      detached: true,
    });
    closeSync(log);
    child.stdin?.on('error', () => undefined);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (this.#isWanted) this.#endedByItself(code, signal);
        resolve();
      });
      child.once('error', () => resolve());
    });
  }

  /** SIGKILL; settles when it is gone. What it started is left to itself. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#isWanted = false;
    if (this.pid !== undefined) this.#child?.kill(signal);
    // The dead cannot wake, but their children must not sleep for ever.
    this.wake();
    await this.#exited;
  }

  /** Tells it by its standard input that it should come to its end; settles when it has. */
  async finish(): Promise<void> {
    this.#isWanted = false;
    this.#child?.stdin?.end();
    await this.#exited;
  }

  /** SIGSTOP of it and all its children, as a machine that sleeps; `alone`, while its children run on. */
  sleep({ alone = false } = {}): void {
    const { pid } = this;
    if (pid === undefined) return;
    // It first, so that it starts no others meanwhile.
    signalTo(pid, 'SIGSTOP');
    this.#stopped = [pid];
    if (alone) return;
    const children = processesUnder(pid).map((under) => under.pid);
    for (const each of children) signalTo(each, 'SIGSTOP');
    this.#stopped = [pid, ...children];
  }

  /** SIGCONT. */
  wake(): void {
    for (const each of this.#stopped.splice(0)) signalTo(each, 'SIGCONT');
  }

  #endedByItself(code: number | null, signal: NodeJS.Signals | null): void {
    const lastWords = lastLinesOf(this.logPath);
    this.unorderedEnds.push({ party: this.name, code, signal, atMs: Date.now(), lastWords });
    setTimeout(() => {
      if (this.#isWanted) this.start();
    }, RESTART_MS);
  }
}

function lastLinesOf(path: string): string {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.slice(-LAST_LINES).join(' | ').slice(-LAST_CHARACTERS);
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

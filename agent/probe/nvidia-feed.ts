/**
 * The one nvidia-smi that runs as long as the agent and prints a row for each GPU now and then: a spawn
 * each time costs up to seconds where the driver unloads itself meanwhile.
 *
 * - It is never there twice: one that hangs in the kernel, where no signal reaches it, would be joined by
 *   one more at each try.
 * - It prints at every round, so silence means something. A process that fell silent is ended and one that
 *   answers once is asked instead; only when that is silent too the driver hangs.
 * - What ends is started again, with growing pauses.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';
import { LineSplitter } from '../process/line-splitter.ts';
import { GPU_FIELDS, readGpuLine, type GpuField, type GpuReading } from './nvidia-rows.ts';

/** What one round told. */
export interface GpuSample {
  readonly readings: readonly GpuReading[];
  /** GPUs that cannot even be asked: bus id to reason. */
  readonly lost: ReadonlyMap<string, string>;
}

export interface NvidiaFeedOptions {
  readonly onSample: (sample: GpuSample) => void;
  /** Nothing is known of any GPU until the next sample; one line. */
  readonly onTrouble: (why: string) => void;
  readonly intervalMs?: number;
  readonly silenceLimitMs?: number;
  readonly firstPauseMs?: number;
}

const INTERVAL_MS = 2_000;
/** A cold call takes some three seconds, more with many GPUs. */
const SILENCE_LIMIT_MS = 10_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;
/** The rows of a round come together; the next round is further away than that. */
const ROUND_GAP_MS = 250;
/** After a silence it answers single questions for so long before it is trusted with a loop again. */
const SINGLE_MS = 10 * 60_000;

/** GPUs that made nvidia-smi give up on all of them are left out for so long. */
const LEFT_OUT_MS = 5 * 60_000;

type State =
  | { readonly state: 'stopped' }
  /** There is no such program: nothing to ask, ever. */
  | { readonly state: 'absent' }
  | { readonly state: 'running'; readonly child: ChildProcess; readonly isLoop: boolean }
  /** Ended by us, and not gone yet. */
  | { readonly state: 'ending'; readonly child: ChildProcess }
  | { readonly state: 'pausing'; readonly timer: NodeJS.Timeout };

export class NvidiaFeed {
  readonly #options: NvidiaFeedOptions;
  readonly #intervalMs: number;
  readonly #silenceLimitMs: number;
  readonly #firstPauseMs: number;
  #state: State = { state: 'stopped' };
  #fields: readonly GpuField[] = GPU_FIELDS;
  #pauseMs: number;
  #singleUntilMs = -Infinity;
  #round: GpuReading[] = [];
  #lost = new Map<string, string>();
  /** Rows of each round of the process at hand, which knows its GPUs from its start; 0 before the first. */
  #usualRows = 0;
  /** GPUs that ever had a row, by bus id. */
  readonly #known = new Set<string>();
  /** GPUs that are not asked, with what was said of them. */
  readonly #leftOut = new Map<string, string>();
  #complaint: string | null = null;
  /** What the process at hand told so far. */
  #told: 'nothing' | 'too-many-fields' | 'losses' | 'rows' = 'nothing';
  /** Silences in a row. */
  #silences = 0;
  #silence: NodeJS.Timeout | undefined;
  #gap: NodeJS.Timeout | undefined;
  #askAll: NodeJS.Timeout | undefined;

  constructor(options: NvidiaFeedOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#silenceLimitMs = options.silenceLimitMs ?? SILENCE_LIMIT_MS;
    this.#firstPauseMs = options.firstPauseMs ?? FIRST_PAUSE_MS;
    this.#pauseMs = this.#firstPauseMs;
  }

  start(): void {
    const isLoop = performance.now() >= this.#singleUntilMs;
    const args = [`--query-gpu=${this.#fields.join(',')}`, '--format=csv,noheader,nounits'];
    if (isLoop) args.push('-lms', String(this.#intervalMs));
    if (this.#leftOut.size > 0) args.push('-i', this.#others().join(','));
    const child = spawn('nvidia-smi', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#state = { state: 'running', child, isLoop };
    this.#complaint = null;
    this.#told = 'nothing';
    this.#usualRows = 0;
    // There are none where the machine has no file left to open.
    const streams: readonly (Readable | undefined)[] = [child.stdout, child.stderr];
    const splitters = streams.map((stream) => {
      const splitter = new LineSplitter((line) => this.#read(child, line));
      stream?.on('data', (chunk: Uint8Array) => splitter.push(chunk));
      return splitter;
    });
    child.on('error', (error: NodeJS.ErrnoException) => this.#failed(child, error));
    child.on('close', (code) => {
      for (const splitter of splitters) splitter.end();
      this.#ended(child, code);
    });
    this.#listen();
  }

  /** For good. */
  stop(): void {
    if (this.#state.state === 'running') this.#state.child.kill('SIGKILL');
    if (this.#state.state === 'pausing') clearTimeout(this.#state.timer);
    for (const timer of [this.#silence, this.#gap, this.#askAll]) clearTimeout(timer);
    this.#state = { state: 'stopped' };
  }

  #read(child: ChildProcess, line: string): void {
    if (this.#state.state !== 'running' || this.#state.child !== child) return;
    const said = readGpuLine(line, this.#fields);
    switch (said.kind) {
      case 'reading':
        // A number that comes again begins the next round.
        if (this.#round.some(({ index }) => index === said.reading.index)) this.#endRound();
        this.#round.push(said.reading);
        break;
      case 'lost':
        this.#lost.set(said.busId, said.reason);
        break;
      case 'unknown-field':
        this.#fields = this.#fields.filter((field) => field !== said.field);
        this.#told = 'too-many-fields';
        return;
      case 'complaint':
        this.#complaint ??= said.text;
        return;
    }
    clearTimeout(this.#gap);
    if (this.#round.length + this.#lost.size === this.#usualRows) this.#endRound();
    else this.#gap = setTimeout(() => this.#endRound(), ROUND_GAP_MS);
  }

  #endRound(): void {
    clearTimeout(this.#gap);
    if (this.#round.length === 0 && this.#lost.size === 0) return;
    const readings = this.#round;
    const lost = new Map([...this.#leftOut, ...this.#lost]);
    this.#usualRows = readings.length + this.#lost.size;
    if (readings.length > 0) {
      this.#told = 'rows';
      this.#pauseMs = this.#firstPauseMs;
      for (const { busId } of readings) this.#known.add(busId);
    } else {
      this.#told = 'losses';
      for (const [busId, reason] of this.#lost) this.#leaveOut(busId, reason);
    }
    this.#round = [];
    this.#lost = new Map();
    this.#silences = 0;
    this.#listen();
    this.#options.onSample({ readings, lost });
  }

  /** One that cannot be asked may keep nvidia-smi from telling of the others. */
  #leaveOut(busId: string, reason: string): void {
    this.#leftOut.set(busId, reason);
    clearTimeout(this.#askAll);
    if (this.#others().length === 0) return this.#leftOut.clear();
    this.#askAll = setTimeout(() => {
      this.#leftOut.clear();
      this.#end();
    }, LEFT_OUT_MS);
  }

  #others(): readonly string[] {
    return [...this.#known].filter((busId) => !this.#leftOut.has(busId));
  }

  #listen(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#fellSilent(), this.#silenceLimitMs);
  }

  #fellSilent(): void {
    this.#silences += 1;
    this.#singleUntilMs = performance.now() + SINGLE_MS;
    if (this.#silences > 1) this.#options.onTrouble('nvidia-smi does not answer: the driver hangs');
    this.#end();
    this.#listen();
  }

  #end(): void {
    if (this.#state.state !== 'running') return;
    const { child } = this.#state;
    child.kill('SIGKILL');
    this.#state = { state: 'ending', child };
  }

  #failed(child: ChildProcess, error: NodeJS.ErrnoException): void {
    if (child.pid !== undefined || this.#state.state === 'stopped') return;
    this.#options.onTrouble(`nvidia-smi cannot be started: ${error.code ?? error.message}`);
    if (error.code !== 'ENOENT') return this.#startLater();
    clearTimeout(this.#silence);
    this.#state = { state: 'absent' };
  }

  #ended(child: ChildProcess, code: number | null): void {
    const { state } = this.#state;
    if ((state !== 'running' && state !== 'ending') || this.#state.child !== child) return;
    // Its answer to the question that silence raised is waited for next.
    if (this.#state.state === 'ending') return this.#startAfter(0);
    this.#endRound();
    const wasSingle = !this.#state.isLoop;
    switch (this.#told) {
      case 'too-many-fields':
        return this.#startAfter(0);
      case 'losses':
        return this.#leftOut.size > 0 ? this.#startAfter(0) : this.#startLater();
      case 'rows':
        if (this.#complaint !== null && code !== 0) this.#options.onTrouble(this.#complaint);
        return wasSingle ? this.#startAfter(this.#intervalMs) : this.#startLater();
      case 'nothing':
        this.#options.onTrouble(
          this.#complaint ?? `nvidia-smi ends with code ${code} and says nothing`,
        );
        this.#startLater();
    }
  }

  #startLater(): void {
    this.#startAfter(this.#pauseMs);
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
  }

  #startAfter(delayMs: number): void {
    clearTimeout(this.#silence);
    this.#state = { state: 'pausing', timer: setTimeout(() => this.start(), delayMs) };
  }
}

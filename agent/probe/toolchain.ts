/**
 * What this machine can run, proven by running it: at the agent's start, and again after failures that a
 * broken tool would explain.
 */
import type { CapabilityFault } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Logger } from '../../kit/log.ts';
import { VERSION } from '../../kit/version.ts';
import { probeDeclaredTools, type DeclaredTools } from './declared-tools.ts';
import { knownTools, versionIn } from './known-tools.ts';
import { probeFfmpeg } from './ffmpeg-tools.ts';
import { probeOnnx } from './onnx-providers.ts';
import type { ToolEnvironment } from './run-tool.ts';
import type { Trial } from './trial.ts';

export interface Toolchain {
  /** Such as `tool:ffmpeg`, `ffmpeg:5.1.6-0+deb12u1`, `encoder:libx264`, `onnx:cpu`. */
  readonly attributes: readonly string[];
  /** Versions, for people. */
  readonly versions: Readonly<Record<string, string>>;
  /** What was tried and does not work. */
  readonly faults: readonly CapabilityFault[];
}

export interface ToolchainOptions {
  readonly declared: DeclaredTools;
  /** For the trials, beyond the agent's own: they must not meet a GPU that is ill. */
  readonly environment: () => ToolEnvironment;
  readonly log: Logger;
  /** It is not what it was. */
  readonly changed: () => void;
  /** Between two proofs, however often one is asked for. */
  readonly pauseMs?: number;
  /** With a tool that nobody declared, at the start. */
  readonly firstPatienceMs?: number;
  /** The agent ends: what is being tried ends with it. */
  readonly signal?: AbortSignal;
}

const PAUSE_MS = 60_000;
/** After so many pauses it is seen whether what was lost is back. */
const LOST_PAUSES = 10;

export class ProvenToolchain {
  readonly #options: ToolchainOptions;
  #current: Toolchain;
  #provenAtMs = performance.now();
  #isProving = false;
  #isStopped = false;
  #next: { readonly atMs: number; readonly timer: NodeJS.Timeout } | undefined;

  private constructor(options: ToolchainOptions, current: Toolchain) {
    this.#options = options;
    this.#current = current;
  }

  static async start(options: ToolchainOptions): Promise<ProvenToolchain> {
    const none: Toolchain = { attributes: [], versions: {}, faults: [] };
    const first = await prove(options, none, options.firstPatienceMs ?? FIRST_PATIENCE_MS);
    for (const { attribute, reason } of first.faults) {
      options.log.warn({ attribute, reason }, 'a capability does not work here');
    }
    const toolchain = new ProvenToolchain(options, first);
    // A first start from a cold disk may be slow; the agent does not wait for it.
    if (isWithoutKnown(options, first))
      toolchain.reprove('a tool that is installed did not answer');
    return toolchain;
  }

  get current(): Toolchain {
    return this.#current;
  }

  /**
   * Something failed that a broken tool would explain: all of it is proven again, now or as soon as the
   * pause since the last proof is over. Never throws.
   */
  reprove(why: string): void {
    this.#proveAt(this.#provenAtMs + this.#pauseMs, why);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#next?.timer);
  }

  /** The earliest wish counts; none while a proof goes on, which will see for itself. */
  #proveAt(atMs: number, why: string): void {
    if (this.#isProving || this.#isStopped || (this.#next?.atMs ?? Infinity) <= atMs) return;
    clearTimeout(this.#next?.timer);
    const delayMs = Math.max(0, atMs - performance.now());
    this.#next = { atMs, timer: setTimeout(() => void this.#proveAgain(why), delayMs) };
  }

  get #pauseMs(): number {
    return this.#options.pauseMs ?? PAUSE_MS;
  }

  async #proveAgain(why: string): Promise<void> {
    const before = this.#current;
    const { log, changed } = this.#options;
    this.#next = undefined;
    this.#isProving = true;
    const now = await prove(this.#options, before);
    this.#isProving = false;
    if (this.#isStopped || this.#options.signal?.aborted === true) return;
    this.#provenAtMs = performance.now();
    const lost = before.attributes.filter((attribute) => !now.attributes.includes(attribute));
    const found = now.attributes.filter((attribute) => !before.attributes.includes(attribute));
    if (lost.length > 0) {
      log.warn({ why, lost, faults: now.faults }, 'capabilities are lost');
      // Nobody demands them here any more, so that no failure would ask again.
      const later = `${lost.join(', ')} may work again`;
      this.#proveAt(this.#provenAtMs + LOST_PAUSES * this.#pauseMs, later);
    } else log.info({ why, found }, 'capabilities were proven again');
    if (JSON.stringify(now) === JSON.stringify(before)) return;
    this.#current = now;
    changed();
  }
}

/** Nobody asked for these tools: one that hangs must not keep the agent from all other work. */
const FIRST_PATIENCE_MS = 10_000;

function isWithoutKnown({ declared }: ToolchainOptions, { attributes }: Toolchain): boolean {
  return Object.keys(knownTools(declared)).some((name) => !attributes.includes(`tool:${name}`));
}

/** What is undecided now counts as it did before. `patienceMs`: with known tools. */
async function prove(
  options: ToolchainOptions,
  before: Toolchain,
  patienceMs?: number,
): Promise<Toolchain> {
  const { signal } = options;
  const environment = options.environment();
  const [ffmpeg, onnx, declared, known] = await Promise.all([
    proveFfmpeg(environment, before, signal),
    probeOnnx(environment, signal),
    probeDeclaredTools(options.declared, environment, undefined, signal),
    probeDeclaredTools(knownTools(options.declared), environment, patienceMs, signal),
  ]);
  const tools = new Map([...known, ...declared]);
  const trials = new Map<string, Trial>(ffmpeg.trials);
  for (const [provider, trial] of onnx) trials.set(`onnx:${provider}`, trial);
  for (const [name, { trial, version }] of tools) {
    trials.set(`tool:${name}`, trial);
    // Steps may want one version of it for all their units.
    const number = versionIn(version);
    if (number !== undefined) trials.set(`${name}:${number}`, trial);
  }
  const wasThere = new Set(before.attributes);
  const attributes: string[] = [];
  const faults: CapabilityFault[] = [];
  for (const [attribute, trial] of trials) {
    const isUp = trial.state === 'undecided' ? wasThere.has(attribute) : trial.state === 'works';
    if (isUp) attributes.push(attribute);
    else if (trial.state !== 'works') faults.push({ attribute, reason: trial.reason });
  }
  const versionsOfTools = [...tools].flatMap(([name, { version }]) =>
    version === '' ? [] : [[name, version] as const],
  );
  return {
    attributes,
    versions: {
      furrow: VERSION,
      node: process.versions.node,
      ...ffmpeg.versions,
      ...Object.fromEntries(versionsOfTools),
    },
    faults,
  };
}

interface FfmpegPart {
  readonly trials: ReadonlyMap<string, Trial>;
  readonly versions: Readonly<Record<string, string>>;
}

async function proveFfmpeg(
  environment: ToolEnvironment,
  before: Toolchain,
  signal: AbortSignal | undefined,
): Promise<FfmpegPart> {
  const found = await probeFfmpeg(environment, signal);
  switch (found.state) {
    case 'found': {
      const trials = new Map<string, Trial>();
      trials.set('tool:ffmpeg', { state: 'works' });
      trials.set(`ffmpeg:${found.version}`, { state: 'works' });
      for (const [encoder, trial] of found.encoders) trials.set(`encoder:${encoder}`, trial);
      for (const filter of found.filters) trials.set(`filter:${filter}`, { state: 'works' });
      return { trials, versions: { ffmpeg: found.version } };
    }
    case 'missing':
      return {
        trials: new Map([['tool:ffmpeg', { state: 'fails', reason: found.reason }]]),
        versions: {},
      };
    case 'silent': {
      const ofFfmpeg = before.attributes.filter((name) =>
        /^(tool:ffmpeg$|ffmpeg:|encoder:|filter:)/.test(name),
      );
      const reason = 'ffmpeg does not answer in time';
      const version = before.versions['ffmpeg'];
      return {
        trials: new Map(
          ['tool:ffmpeg', ...ofFfmpeg].map((name) => [name, { state: 'undecided', reason }]),
        ),
        versions: version === undefined ? {} : { ffmpeg: version },
      };
    }
  }
}

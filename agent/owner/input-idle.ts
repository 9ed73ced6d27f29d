/**
 * Since when nobody has touched this machine, from whatever tells it here: the shortest of all answers.
 * Times of the wall clock are read once, when they are new, and counted on by the monotonic one: a clock that
 * is set neither wakes an owner who is away nor sends away one who types.
 * What was never tried on a real desktop is parsed from recorded output; see README.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from '../probe/run-tool.ts';

export interface InputIdleOptions {
  readonly platform: NodeJS.Platform;
  readonly environment: NodeJS.ProcessEnv;
  /** Unix time in milliseconds. */
  readonly wallMs: () => number;
  readonly monotonicMs: () => number;
  /** Where terminals are: /dev. */
  readonly devices: string;
  /** /proc/interrupts. */
  readonly interrupts: string;
  /** Standard output; null when there is no such tool, or it fails. */
  readonly run: (program: string, args: readonly string[]) => Promise<string | null>;
}

const TOOL_TIMEOUT_MS = 3_000;

export class InputIdle {
  readonly #options: InputIdleOptions;
  /** Tools that gave no answer are not asked again: most machines lack most of them. */
  readonly #missing = new Set<string>();
  /** By who tells: what it told last, and what that was worth when it was new. */
  readonly #told = new Map<string, { readonly what: number; readonly sinceMs: number }>();

  constructor(options: Partial<InputIdleOptions> = {}) {
    this.#options = {
      platform: process.platform,
      environment: process.env,
      wallMs: () => Date.now(),
      monotonicMs: () => performance.now(),
      devices: '/dev',
      interrupts: '/proc/interrupts',
      run: (program, args) => runTool(program, args, TOOL_TIMEOUT_MS),
      ...options,
    };
  }

  /** Milliseconds; undefined when nothing here tells. Never rejects. */
  async read(): Promise<number | undefined> {
    const { platform } = this.#options;
    const known = platform === 'linux' ? await this.#onLinux() : [await this.#onMac()];
    const told = known.filter((idleMs) => idleMs !== undefined);
    return told.length === 0 ? undefined : Math.max(0, Math.min(...told));
  }

  async #onLinux(): Promise<readonly (number | undefined)[]> {
    // A screen's own answer is exact; logind only knows whether the screen saver has begun.
    const screen = (await this.#screenIdle()) ?? (await this.#sessionsIdle());
    return [screen, this.#terminalsIdle(), this.#keyboardIdle()];
  }

  /** As `w` has it: reading what was typed moves a terminal's time of access. */
  #terminalsIdle(): number | undefined {
    const { devices } = this.#options;
    const terminals = [
      ...namesIn(devices, /^tty[1-9]\d*$/).map((name) => join(devices, name)),
      ...namesIn(join(devices, 'pts'), /^\d+$/).map((name) => join(devices, 'pts', name)),
    ];
    const times = terminals.flatMap((path) => accessMs(path) ?? []);
    return times.length === 0 ? undefined : this.#idleSince('terminals', Math.max(...times));
  }

  /** Keyboard and touchpad of a laptop. How long it was so before the first look, nobody knows. */
  #keyboardIdle(): number | undefined {
    const count = keyboardInterrupts(textOf(this.#options.interrupts));
    return count === undefined ? undefined : this.#countOn('keyboard', count, 0);
  }

  /** Idle since then, in Unix time. */
  #idleSince(who: string, atMs: number): number {
    return this.#countOn(who, atMs, Math.max(0, this.#options.wallMs() - atMs));
  }

  /** Milliseconds since `who` tells this; when it is new, it was so for `idleMs` already. */
  #countOn(who: string, what: number, idleMs: number): number {
    const nowMs = this.#options.monotonicMs();
    const before = this.#told.get(who);
    const told = before?.what === what ? before : { what, sinceMs: nowMs - idleMs };
    this.#told.set(who, told);
    return nowMs - told.sinceMs;
  }

  /** X11. */
  async #screenIdle(): Promise<number | undefined> {
    if (!this.#options.environment['DISPLAY']) return undefined;
    const answer = await this.#ask('xprintidle', []);
    return /^\d+\s*$/.test(answer) ? Number(answer) : undefined;
  }

  async #sessionsIdle(): Promise<number | undefined> {
    const listed = await this.#ask('loginctl', ['list-sessions', '--no-legend']);
    const ids = listed.split('\n').flatMap((line) => line.trim().split(/\s+/)[0] || []);
    if (ids.length === 0) return undefined;
    const wanted = ['Type', 'State', 'IdleHint', 'IdleSinceHint'];
    const properties = wanted.map((name) => `--property=${name}`);
    const answer = await this.#ask('loginctl', ['show-session', ...ids, ...properties]);
    const wallMs = this.#options.wallMs();
    const idleMs = sessionsIdleMs(answer, wallMs);
    const isInUse = idleMs === undefined || idleMs === 0;
    return isInUse ? idleMs : this.#idleSince('sessions', wallMs - idleMs);
  }

  async #onMac(): Promise<number | undefined> {
    if (this.#options.platform !== 'darwin') return undefined;
    return hidIdleMs(await this.#ask('ioreg', ['-c', 'IOHIDSystem', '-d', '4']));
  }

  /** Empty when there is no answer. */
  async #ask(program: string, args: readonly string[]): Promise<string> {
    if (this.#missing.has(program)) return '';
    const answer = await this.#options.run(program, args);
    if (answer === null) this.#missing.add(program);
    return answer ?? '';
  }
}

/**
 * Of the graphical sessions in the answer to `loginctl show-session`; undefined when there are none. What
 * logind says of terminals it has from their times of access, as we do, and of sessions without one it
 * says that they are never idle.
 */
export function sessionsIdleMs(answer: string, wallMs: number): number | undefined {
  const idle = answer.split(/\n\s*\n/).flatMap((block) => {
    const session = new Map(block.split('\n').map((line) => splitAt(line, '=')));
    const type = session.get('Type') ?? '';
    if (!['x11', 'wayland', 'mir'].includes(type) || session.get('State') === 'closing') return [];
    const sinceMs = Number(session.get('IdleSinceHint')) / 1000;
    return [session.get('IdleHint') === 'yes' && sinceMs > 0 ? wallMs - sinceMs : 0];
  });
  return idle.length === 0 ? undefined : Math.min(...idle);
}

/** All that the i8042 has told so far, in the words of /proc/interrupts; undefined when there is none. */
export function keyboardInterrupts(interrupts: string): number | undefined {
  const lines = interrupts.split('\n').filter((line) => /\bi8042\s*$/.test(line));
  if (lines.length === 0) return undefined;
  const counts = lines.flatMap((line) => {
    const words = line.trim().split(/\s+/).slice(1);
    const end = words.findIndex((word) => !/^\d+$/.test(word));
    return words.slice(0, end).map(Number);
  });
  return counts.reduce((sum, count) => sum + count, 0);
}

/** In the answer to `ioreg -c IOHIDSystem`, in nanoseconds there. */
export function hidIdleMs(answer: string): number | undefined {
  const idleNs = /"HIDIdleTime" = (\d+)/.exec(answer)?.[1];
  return idleNs === undefined ? undefined : Math.floor(Number(idleNs) / 1e6);
}

function namesIn(directory: string, pattern: RegExp): string[] {
  try {
    return readdirSync(directory).filter((name) => pattern.test(name));
  } catch {
    return [];
  }
}

function accessMs(path: string): number | undefined {
  try {
    return statSync(path).atimeMs;
  } catch {
    return undefined;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function splitAt(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
}

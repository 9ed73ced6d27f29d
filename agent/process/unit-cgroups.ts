/**
 * A control group (version 2) for each unit, where the agent may make some: the kernel then holds the unit to
 * its memory, and kills all of it at once when it wants more. Possible where the agent's own group is its
 * own: a systemd service with `Delegate=yes`, a container in which it is the only program, or the root group.
 */
import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../../kit/furrow-error.ts';
import type { CgroupMount } from './cgroup-mount.ts';
import { parseOomKills } from './oom-kills.ts';

/** Where the agent itself goes: a group with groups below it may hold no processes. */
const AGENT_GROUP = 'furrow-agent';

export interface UnitCgroup {
  /** Puts a process, and all that will come of it, into the group. */
  join(pid: number): void;
  /** How often the kernel killed in it. */
  oomKills(): number;
  /** Null where the kernel (before 5.19) does not tell. */
  peakBytes(): number | null;
  remove(): void;
}

export type CgroupsOpened =
  | { readonly state: 'open'; readonly cgroups: UnitCgroups }
  /** `why`: one line. */
  | { readonly state: 'unavailable'; readonly why: string };

export class UnitCgroups {
  readonly #base: string;
  readonly #prefix: string;
  #next = 0;

  private constructor(base: string, prefix: string) {
    this.#base = base;
    this.#prefix = prefix;
  }

  /**
   * `mount` is where our own group lies, null where version 2 is not mounted; `agentId` names our groups
   * among those of other agents.
   */
  static open(mount: CgroupMount | null, agentId: string): CgroupsOpened {
    if (mount === null) return unavailable('control groups of version 2 are not mounted');
    const { folder, root } = mount;
    const base = basename(folder) === AGENT_GROUP ? dirname(folder) : folder;
    try {
      if (!wordsIn(join(base, 'cgroup.controllers')).includes('memory')) {
        return unavailable(`${base} has no memory controller`);
      }
      accessSync(join(base, 'cgroup.procs'), constants.W_OK);
      if (!wordsIn(join(base, 'cgroup.subtree_control')).includes('memory')) {
        const why = prepare(base, base === root);
        if (why !== null) return unavailable(why);
      }
      const cgroups = new UnitCgroups(base, `furrow-unit.${agentId}.`);
      // Whether a limit can be set shows only when one is.
      const trial = cgroups.create(2 ** 30);
      if (trial === null) return unavailable(`no limit can be set below ${base}`);
      trial.remove();
      return { state: 'open', cgroups };
    } catch (error) {
      return unavailable(messageOf(error));
    }
  }

  /** Null when it cannot be made: the unit is watched, then. */
  create(limitBytes: number): UnitCgroup | null {
    this.#next += 1;
    const folder = join(this.#base, `${this.#prefix}${process.pid}-${this.#next}`);
    try {
      mkdirSync(folder);
      writeFileSync(join(folder, 'memory.max'), String(limitBytes));
      tryWrite(join(folder, 'memory.swap.max'), '0');
      tryWrite(join(folder, 'memory.oom.group'), '1');
      return unitCgroup(folder);
    } catch {
      remove(folder);
      return null;
    }
  }

  /** Removes what an earlier run of this agent left; call when its processes are gone. */
  sweep(): void {
    for (const name of readdirSync(this.#base)) {
      if (name.startsWith(this.#prefix)) remove(join(this.#base, name));
    }
  }
}

/** Makes room for groups below ours. Null when it is done, else why it cannot be. */
function prepare(base: string, isRoot: boolean): string | null {
  if (!isRoot) {
    const others = wordsIn(join(base, 'cgroup.procs')).filter((pid) => Number(pid) !== process.pid);
    if (others.length > 0) return `${base} holds ${others.length} other processes`;
    mkdirSync(join(base, AGENT_GROUP), { recursive: true });
    writeFileSync(join(base, AGENT_GROUP, 'cgroup.procs'), String(process.pid));
  }
  writeFileSync(join(base, 'cgroup.subtree_control'), '+memory');
  return null;
}

function unitCgroup(folder: string): UnitCgroup {
  return {
    join: (pid) => tryWrite(join(folder, 'cgroup.procs'), String(pid)),
    oomKills: () => parseOomKills(textIn(join(folder, 'memory.events'))),
    peakBytes: () => Number(textIn(join(folder, 'memory.peak'))) || null,
    remove: () => remove(folder),
  };
}

/** One that still holds a process stays; the next start removes it. */
function remove(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Gone already, or not empty.
  }
}

/** Older kernels lack the file; a process may be gone already. The unit is watched in any case. */
function tryWrite(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch {
    // As above.
  }
}

function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function wordsIn(path: string): readonly string[] {
  return readFileSync(path, 'utf8').split(/\s+/).filter(Boolean);
}

function unavailable(why: string): CgroupsOpened {
  return { state: 'unavailable', why };
}

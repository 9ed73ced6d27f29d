/**
 * A process that we started, and all that came of it: its group, children that left the group, and
 * grandchildren that lost their parents too. The last are known by a variable in their environment.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentOf, readProcesses, type ProcessEntry } from './process-table.ts';

/** In the environment of every process of an attempt; its value is different for each `run`. */
export const MARKER_VARIABLE = 'FURROW_PROCESS';

export interface ProcessTree {
  /** Also the id of its group. */
  readonly pid: number;
  /** Null when it was gone before it could be read. */
  readonly startTicks: number | null;
  readonly marker: string;
  /**
   * True while its start was seen by this run of the agent: then the group's number is surely still
   * its own. False for what an earlier run recorded: the number may have passed to another.
   */
  readonly groupIsCertain: boolean;
  /** Its first process is a sandbox's, whose end is at once the end of all that is in it. */
  readonly isSandbox?: boolean | undefined;
}

const TERM_GRACE_MS = 5_000;
/** A killed process may need so long to give its memory back, or to leave a system call. */
const KILL_GRACE_MS = 10_000;

/** One look at the machine's processes, for all trees that are asked about together. */
class Scan {
  readonly all = readProcesses().filter(({ pid }) => pid > 1 && pid !== process.pid);
  readonly #markers = new Map<number, string | null>();

  markerOf(pid: number): string | null {
    let marker = this.#markers.get(pid);
    if (marker === undefined) {
      marker = environmentOf(pid, MARKER_VARIABLE);
      this.#markers.set(pid, marker);
    }
    return marker;
  }
}

let nextScan: Promise<Scan> | null = null;

/** A look that is yet to be taken: many units end while one look goes on, and share the next. */
function scan(): Promise<Scan> {
  nextScan ??= new Promise((settle) => {
    setImmediate(() => {
      nextScan = null;
      settle(new Scan());
    });
  });
  return nextScan;
}

/** Living processes of the tree, the first included. */
async function livingOf(tree: ProcessTree): Promise<readonly ProcessEntry[]> {
  const look = await scan();
  const { all } = look;
  const members = new Map<number, ProcessEntry>();
  const root = all.find(({ pid }) => pid === tree.pid);
  const rootIsOurs = root !== undefined && root.startTicks === tree.startTicks;
  for (const entry of all) {
    // Nothing that came of it is older than it: most processes need not be asked.
    if (entry.startTicks < (tree.startTicks ?? 0)) continue;
    if (look.markerOf(entry.pid) === tree.marker) members.set(entry.pid, entry);
  }
  if (rootIsOurs) members.set(root.pid, root);
  // A number names the same group for as long as one of its members lives.
  const groupIsOurs =
    tree.groupIsCertain || [...members.values()].some(({ group }) => group === tree.pid);
  for (const entry of all) {
    if (groupIsOurs && entry.group === tree.pid) members.set(entry.pid, entry);
  }
  addDescendants(members, all);
  return [...members.values()];
}

function addDescendants(members: Map<number, ProcessEntry>, all: readonly ProcessEntry[]): void {
  for (let before = -1; before !== members.size;) {
    before = members.size;
    for (const entry of all) {
      if (members.has(entry.parent)) members.set(entry.pid, entry);
    }
  }
}

/** Ends the tree: TERM, grace, KILL; without a grace KILL at once. Answers whether all of it is gone. */
export async function endTree(tree: ProcessTree, termGraceMs = TERM_GRACE_MS): Promise<boolean> {
  if (termGraceMs > 0) {
    if (!(await signalTree(tree, 'SIGTERM'))) return true;
    if (await isGoneWithin(tree, termGraceMs)) return true;
  }
  const giveUpAt = performance.now() + KILL_GRACE_MS;
  do {
    // Again each time: a process may have forked while the others were being killed.
    await signalTree(tree, 'SIGKILL');
    if (await isGoneWithin(tree, 500)) return true;
  } while (performance.now() < giveUpAt);
  return false;
}

/** False when there was nobody to signal. */
async function signalTree(tree: ProcessTree, signal: 'SIGTERM' | 'SIGKILL'): Promise<boolean> {
  const living = await livingOf(tree);
  if (living.length === 0 && process.platform === 'linux') return false;
  let reached = false;
  // Where /proc is missing, the group is all that is known.
  if (living.length === 0) reached = signalOne(-tree.pid, signal);
  for (const { pid } of addressees(tree, living, signal)) {
    reached = signalOne(pid, signal) || reached;
  }
  // A stopped process acts on nothing but KILL until it is continued.
  if (signal === 'SIGTERM') for (const { pid } of living) signalOne(pid, 'SIGCONT');
  return reached;
}

/** TERM is for those that can act on it: a sandbox that ends first would leave them no time. */
function addressees(
  { pid: first, isSandbox }: ProcessTree,
  living: readonly ProcessEntry[],
  signal: 'SIGTERM' | 'SIGKILL',
): readonly ProcessEntry[] {
  if (isSandbox !== true || signal === 'SIGKILL') return living;
  const inside = living.filter(({ pid }) => pid !== first);
  return inside.length === 0 ? living : inside;
}

function signalOne(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

async function isGoneWithin(tree: ProcessTree, limitMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + limitMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 200)) {
    if (await isGone(tree)) return true;
    const leftMs = giveUpAt - performance.now();
    if (leftMs <= 0) return false;
    await sleep(Math.min(pauseMs, leftMs));
  }
}

async function isGone(tree: ProcessTree): Promise<boolean> {
  if (process.platform === 'linux') return (await livingOf(tree)).length === 0;
  try {
    return !process.kill(-tree.pid, 0);
  } catch {
    return true;
  }
}

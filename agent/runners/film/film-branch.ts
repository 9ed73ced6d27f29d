/**
 * One film of several that a job makes: whether a unit has anything to do for it, in which size, and how
 * a source's fault is told to the units that follow without failing the films beside it.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FilmBranch, VideoEncoding } from '../../../proto/gen/furrow/v1/task.ts';
import type { UnitWork } from '../runner.ts';
import type { FilmFault } from './film-fault.ts';
import { readPlan, type FilmPlan } from './film-plan.ts';

export type BranchStart<Task> =
  | { readonly state: 'run'; readonly task: Task }
  /** `why` is one line for the log; the unit leaves nothing. */
  | { readonly state: 'left-out'; readonly why: string };

interface Branched {
  readonly branch?: FilmBranch | undefined;
  readonly video?: VideoEncoding | undefined;
}

/** Looked at before a unit's work; the units of one film all come to the same answer. */
export async function startOfBranch<Task extends object>(
  work: UnitWork,
  task: Task,
): Promise<BranchStart<Task>> {
  const { branch, video } = task as Branched;
  if (branch === undefined) return { state: 'run', task };
  const fault = branch.noteFaults ? await notedFault(work.directory) : undefined;
  if (fault !== undefined) {
    await writeFault(work, fault);
    return { state: 'left-out', why: `left out: ${fault}` };
  }
  if (branch.lines === 0) return { state: 'run', task };
  const plan = await readPlan(work.directory);
  const there = linesOf(plan);
  if (there < branch.lines && !branch.always) {
    const why = `left out: the source has ${there} lines, fewer than ${branch.lines}`;
    return { state: 'left-out', why };
  }
  if (video === undefined) return { state: 'run', task };
  return { state: 'run', task: { ...task, video: { ...video, ...sizeFor(plan, branch.lines) } } };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** As it is shown. */
function shownSize({ source }: FilmPlan): Size {
  const [across = 1] = source.orientation;
  const { width, height } = source;
  return across === 0 ? { width: height, height: width } : { width, height };
}

/** Of the smallest 16:9 frame, upright or not, that holds the picture: 1920x800 has 1080. */
export function linesOf(plan: FilmPlan): number {
  const { width, height } = shownSize(plan);
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  return Math.max(short, Math.ceil((long * 9) / 16));
}

/** One side, which fills the frame; the other follows from the shape. Nothing is enlarged. */
export function sizeFor(plan: FilmPlan, lines: number): Size {
  if (linesOf(plan) <= lines) return { width: 0, height: 0 };
  const { width, height } = shownSize(plan);
  const long = 2 * Math.round((lines * 8) / 9);
  const isFlat = Math.max(width, height) * 9 >= Math.min(width, height) * 16;
  const side = isFlat ? long : lines;
  return width >= height === isFlat ? { width: side, height: 0 } : { width: 0, height: side };
}

/** `fault-audio-12-00000.json`: of the step and the unit that met it. */
const FAULT_NAME = /^fault-[\w-]+\.json$/;

/** Why the film was given up, by the unit that met it first by name. */
async function notedFault(directory: string): Promise<string | undefined> {
  const [name] = (await readdir(directory)).filter((entry) => FAULT_NAME.test(entry)).toSorted();
  if (name === undefined) return undefined;
  return reasonOf(await readFile(join(directory, name), 'utf8'));
}

/** What a fault's file says, in one line. */
export function reasonOf(text: string): string {
  const { reason } = JSON.parse(text) as { readonly reason?: unknown };
  return typeof reason === 'string' ? reason : 'for a reason that was not noted';
}

/**
 * Notes a fault of the source where the task asks for that, and takes away what the unit had made: half a
 * chunk must not be stored. False where the unit fails as any other.
 */
export async function noteFault(work: UnitWork, task: object, fault: FilmFault): Promise<boolean> {
  if ((task as Branched).branch?.noteFaults !== true || fault.kind !== 'invalid-input')
    return false;
  const { directory } = work;
  for (const name of await readdir(directory)) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
  await writeFault(work, fault.message);
  return true;
}

/** Each unit passes on what it was given, so that whoever comes last need not know all before. */
async function writeFault({ directory, step, unit }: UnitWork, reason: string): Promise<void> {
  const name = `fault-${step}-${String(unit).padStart(5, '0')}.json`;
  await writeFile(join(directory, name), `${JSON.stringify({ reason })}\n`);
}

/** The fault of the steps whose names end so, among these files. */
export function faultOfSuffix(names: readonly string[], suffix: string): string | undefined {
  return names.find(
    (name) => FAULT_NAME.test(name) && name.replace(/-\d+\.json$/, '').endsWith(suffix),
  );
}

/**
 * What is shown without asking the command loop: jobs and agents as of the last commit that is on disk. It stays
 * readable, with its age, while the journal cannot be reached. Of a job it holds only what can differ
 * between that commit and the farm, which is ahead of it.
 */
import { type Archive, jobsOf, withoutJob, withSegment } from './domain/archive.ts';
import type { Fact } from './domain/facts.ts';
import { type Farm, type Job, jobId } from './domain/farm.ts';
import {
  type AgentView,
  type JobView,
  type StepView,
  viewOfAgent,
  viewOfJob,
} from './domain/views.ts';
import type { File } from './domain/task.ts';
import type { Committed } from './ports.ts';

/** A job as of its last commit. */
interface Shown {
  /** Only what never changes is read from it. */
  readonly job: Pick<
    Job,
    'number' | 'name' | 'clientId' | 'priority' | 'recipe' | 'owner' | 'maxUnits' | 'submittedAtMs'
  >;
  readonly state: JobView['state'];
  readonly ended: { readonly reason: string; readonly atMs: number } | undefined;
  readonly steps: readonly StepView[];
  readonly outputs: readonly File[];
}

/** Which ended jobs a list has besides those that have not. */
export type Which =
  | { readonly ended: 'all' | 'none' }
  /** Unix time in milliseconds. */
  | { readonly ended: 'since'; readonly sinceMs: number };

/** Steps that look alike are held once, as long as no more than so many looks are known. */
const MOST_LOOKS = 4_096;
/** Of a job with more, hardly two looks are alike, and to compare them takes long. */
const LONGEST_LOOK = 64;
const NO_FILES: readonly File[] = [];

export class ReadModel {
  readonly #farm: Farm;
  readonly #jobs = new Map<number, Shown>();
  /** Jobs that have not ended, in the order in which they were opened. */
  readonly #open = new Set<number>();
  readonly #looks = new Map<string, readonly StepView[]>();
  /** All that are shown, ascending. */
  #numbers: number[] = [];
  /** In the order in which they became known. */
  readonly #agents = new Map<string, AgentView>();
  #archive: Archive;
  #sequence: number;

  /** The farm as it was replayed; `sequence` is its last commit's. */
  constructor(farm: Farm, sequence: number) {
    this.#farm = farm;
    for (const job of farm.jobs.values()) this.#show(viewOfJob(job));
    for (const record of farm.agents.values()) this.#agents.set(record.id, viewOfAgent(record));
    this.#archive = farm.archive;
    this.#sequence = sequence;
  }

  /** Journal sequence of the last commit that is shown. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Jobs that had left the memory with that commit. */
  get archive(): Archive {
    return this.#archive;
  }

  publish(commit: Committed): void {
    for (const view of commit.views) this.#show(view);
    for (const view of commit.agents) this.#agents.set(view.id, view);
    for (const fact of commit.facts) this.#forget(fact);
    this.#sequence = commit.sequence;
  }

  agents(): readonly AgentView[] {
    return [...this.#agents.values()];
  }

  agent(id: string): AgentView | undefined {
    return this.#agents.get(id);
  }

  job(number: number): JobView | undefined {
    const shown = this.#jobs.get(number);
    return shown && asView(shown);
  }

  /** Jobs with numbers below `before`, newest first. */
  list(before: number, limit: number, which: Which): JobView[] {
    const found: JobView[] = [];
    for (const number of this.#newestFirst(before, which.ended !== 'none')) {
      if (found.length === limit) break;
      const shown = this.#jobs.get(number);
      if (shown === undefined) continue;
      const endedAtMs = shown.ended?.atMs ?? Infinity;
      if (which.ended === 'since' && endedAtMs < which.sinceMs) continue;
      found.push(asView(shown));
    }
    return found;
  }

  open(): JobView[] {
    return [...this.#open].flatMap((number) => this.job(number) ?? []);
  }

  *#newestFirst(before: number, includeEnded: boolean): Generator<number> {
    if (!includeEnded) {
      yield* [...this.#open].filter((number) => number < before).toSorted((a, b) => b - a);
      return;
    }
    for (let at = this.#numbers.length - 1; at >= 0; at -= 1) {
      const number = this.#numbers[at] ?? 0;
      if (number < before) yield number;
    }
  }

  #forget(fact: Fact): void {
    if (fact.type === 'JobRemoved') {
      this.#archive = withoutJob(this.#archive, fact.job);
      this.#drop([fact.job]);
    }
    if (fact.type === 'JobsArchived') {
      this.#archive = withSegment(this.#archive, fact.segment);
      this.#drop([...jobsOf({ ranges: fact.segment.ranges, removed: [] })]);
    }
  }

  #drop(numbers: readonly number[]): void {
    for (const number of numbers) this.#jobs.delete(number);
    this.#numbers = this.#numbers.filter((number) => this.#jobs.has(number));
  }

  #show(view: JobView): void {
    const { number, state, reason, endedAtMs, outputs } = view;
    const known = this.#jobs.get(number);
    const job = known?.job ?? this.#farm.jobs.get(number) ?? view;
    this.#jobs.set(number, {
      job,
      state,
      ended: endedAtMs > 0 ? { reason, atMs: endedAtMs } : undefined,
      steps: this.#lookOf(view.steps),
      outputs: outputs.length === 0 ? NO_FILES : outputs,
    });
    if (known === undefined) this.#numbers.push(number);
    if (endedAtMs > 0) this.#open.delete(number);
    else this.#open.add(number);
  }

  #lookOf(steps: readonly StepView[]): readonly StepView[] {
    if (steps.length > LONGEST_LOOK) return steps;
    const key = JSON.stringify(steps);
    const known = this.#looks.get(key);
    if (known !== undefined) return known;
    if (this.#looks.size >= MOST_LOOKS) this.#looks.clear();
    this.#looks.set(key, steps);
    return steps;
  }
}

function asView({ job, state, ended, steps, outputs }: Shown): JobView {
  return {
    number: job.number,
    id: jobId(job.number),
    name: job.name,
    clientId: job.clientId,
    priority: job.priority,
    recipe: job.recipe,
    owner: job.owner,
    maxUnits: job.maxUnits,
    state,
    reason: ended?.reason ?? '',
    submittedAtMs: job.submittedAtMs,
    endedAtMs: ended?.atMs ?? 0,
    steps,
    outputs,
    archived: false,
  };
}

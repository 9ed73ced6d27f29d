/** All jobs that a coordinator can tell of: those in its memory and those in the archive, as one list. */
import { FurrowError } from '../kit/furrow-error.ts';
import { type ArchiveSegment, newestArchived, segmentOf } from './domain/archive.ts';
import type { ArchiveLookup } from './domain/commands.ts';
import type { Farm, Job } from './domain/farm.ts';
import { jobFrom } from './domain/farm-snapshot.ts';
import type { JobView } from './domain/views.ts';
import type { JobArchive } from './job-archive.ts';
import type { ReadModel, Which } from './read-model.ts';

/** A page of jobs has so many steps and outputs at most, and one job at least. */
const MOST_PARTS = 50_000;

export interface JobPage {
  readonly jobs: readonly JobView[];
  /** Ask below this number for more; undefined at the end. */
  readonly next: number | undefined;
  /** Why jobs are missing, one line each. */
  readonly warnings: readonly string[];
}

export class KnownJobs {
  readonly #farm: Farm;
  readonly #readModel: ReadModel;
  readonly #archive: JobArchive;
  /** Whoever lists a job's units asks for it page by page. */
  #lastRead: Job | undefined;

  constructor(farm: Farm, readModel: ReadModel, archive: JobArchive) {
    this.#farm = farm;
    this.#readModel = readModel;
    this.#archive = archive;
  }

  /** FurrowError: data-loss ARCHIVE_DAMAGED; unavailable ARCHIVE_UNREACHABLE. */
  async job(number: number): Promise<JobView | undefined> {
    const view = this.#readModel.job(number);
    if (view !== undefined) return view;
    const segment = segmentOf(this.#readModel.archive, number);
    if (segment === undefined) return undefined;
    return (await this.#archive.index(segment)).get(number)?.view;
  }

  /** An archived job, whole. FurrowError: as `job`. */
  async archivedJob(number: number): Promise<Job | undefined> {
    const segment = segmentOf(this.#readModel.archive, number);
    if (segment === undefined) return undefined;
    if (this.#lastRead?.number !== number) {
      this.#lastRead = jobFrom(this.#farm, await this.#archive.image(segment, number));
    }
    return this.#lastRead;
  }

  /** Jobs with numbers below `before`, newest first. A damaged segment leaves out its own jobs only. */
  async list(before: number, limit: number, which: Which): Promise<JobPage> {
    const inMemory = this.#readModel.list(before, limit + 1, which);
    const { archive } = this.#readModel;
    const archived = which.ended === 'all' ? newestArchived(archive, before, limit + 1) : [];
    const viewByNumber = new Map(inMemory.map((view) => [view.number, view]));
    const numbers = [...viewByNumber.keys(), ...archived].toSorted((a, b) => b - a);
    const shown = numbers.slice(0, limit);
    const wanted = shown.filter((number) => !viewByNumber.has(number));
    const { views, warnings } = await this.#readArchived(archive, wanted);
    for (const view of views) viewByNumber.set(view.number, view);
    const fitting = shown.slice(0, this.#countOnPage(shown, viewByNumber));
    return {
      jobs: fitting.flatMap((number) => viewByNumber.get(number) ?? []),
      next: numbers.length > fitting.length ? fitting.at(-1) : undefined,
      warnings,
    };
  }

  /** One line for each segment of the archive that was found damaged. */
  get damage(): readonly string[] {
    return this.#archive.damageIn(this.#readModel.archive);
  }

  /** Whether an archived job has this client id. FurrowError: as `job`. */
  lookUpClientId(clientId: string): Promise<ArchiveLookup> {
    return this.#archive.lookUpClientId(this.#farm.archive, clientId);
  }

  /** A client takes so large a message only, and the coordinator writes it while all others wait. */
  #countOnPage(numbers: readonly number[], viewByNumber: ReadonlyMap<number, JobView>): number {
    let parts = 0;
    const first = numbers.findIndex((number, index) => {
      const view = viewByNumber.get(number);
      parts += (view?.steps.length ?? 0) + (view?.outputs.length ?? 0);
      return index > 0 && parts > MOST_PARTS;
    });
    return first < 0 ? numbers.length : first;
  }

  async #readArchived(
    archive: readonly ArchiveSegment[],
    numbers: readonly number[],
  ): Promise<{ readonly views: readonly JobView[]; readonly warnings: readonly string[] }> {
    const views: JobView[] = [];
    const warnings = new Set<string>();
    for (const number of numbers) {
      const segment = segmentOf(archive, number);
      if (segment === undefined) continue;
      try {
        const view = (await this.#archive.index(segment)).get(number)?.view;
        if (view !== undefined) views.push(view);
      } catch (error) {
        if (!(error instanceof FurrowError) || error.reason !== 'ARCHIVE_DAMAGED') throw error;
        warnings.add(error.message);
      }
    }
    return { views, warnings: [...warnings] };
  }
}

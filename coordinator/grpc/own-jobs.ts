/** Owners see and touch their own jobs only: another's is one that is not there. */
import type { Principal } from '../access.ts';
import { jobId } from '../domain/farm.ts';
import type { JobPage, KnownJobs } from '../known-jobs.ts';
import type { Which } from '../read-model.ts';
import { findJob, jobUnknown, type WatchSource } from './watch-job.ts';

/** FurrowError: not-found JOB_UNKNOWN. */
export async function mustSee(
  source: Pick<WatchSource, 'known' | 'reachEnd'>,
  { owner }: Principal,
  number: number,
): Promise<void> {
  if (owner === '') return;
  const view = await findJob(source, number);
  if (view?.owner !== owner) throw jobUnknown(jobId(number));
}

/** A page of those that are seen, newest first. */
export async function listSeen(
  known: KnownJobs,
  { owner }: Principal,
  before: number,
  limit: number,
  which: Which,
): Promise<JobPage> {
  let page = await known.list(before, limit, which);
  if (owner === '') return page;
  const jobs = page.jobs.filter((view) => view.owner === owner);
  const warnings = new Set(page.warnings);
  while (jobs.length < limit && page.next !== undefined) {
    page = await known.list(page.next, limit, which);
    for (const warning of page.warnings) warnings.add(warning);
    jobs.push(...page.jobs.filter((view) => view.owner === owner));
  }
  const shown = jobs.slice(0, limit);
  const isMore = jobs.length > limit || page.next !== undefined;
  return { jobs: shown, next: isMore ? shown.at(-1)?.number : undefined, warnings: [...warnings] };
}

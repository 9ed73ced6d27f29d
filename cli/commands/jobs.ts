import { defineCommand, type CommandContext } from '../command.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { integerIn } from '../options.ts';
import { noteAge } from '../output/note-age.ts';
import type { Report } from '../report.ts';

const PAGE = 200;
/** Without --all, ended jobs are shown for so long. */
const RECENT_MS = 24 * 60 * 60 * 1000;

interface JobsOptions {
  readonly all?: boolean;
  readonly open?: boolean;
  readonly limit?: number;
}

export const jobs = defineCommand<JobsOptions>({
  name: 'jobs',
  summary: 'list jobs, newest first',
  description:
    'Lists the open jobs and, where there is room, those that ended within the last day; newest first.',
  options: [
    { flags: '-a, --all', help: 'all jobs ever, archived ones too' },
    { flags: '--open', help: 'none that has ended' },
    { flags: '-n, --limit <n>', help: 'at most so many', parse: integerIn(1, 1_000_000) },
  ],
  examples: [
    ['furrow jobs --all', 'what was done so far'],
    ["furrow jobs --open --json | jq -r '.jobs[].id'", 'ids of the open jobs'],
  ],
  async run(_args, options, context) {
    const list = await listJobs(options, context);
    if (list.jobs.length === 0 && !options.all)
      context.out.note('nothing open; furrow jobs --all shows ended ones');
    noteAge(context.out, list.ageMs);
    for (const warning of list.warnings) context.out.note(`warning: ${warning}`);
    return { report: list };
  },
});

type JobsReport = Report & { kind: 'jobs' };

async function listJobs(options: JobsOptions, context: CommandContext): Promise<JobsReport> {
  const limit = options.limit ?? 100;
  if (options.all === true && options.open === true) {
    const message = '--all and --open contradict each other: give one';
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  }
  if (options.all === true) return readPages(context, limit, { includeEnded: true });
  const open = await readPages(context, limit, {});
  const room = limit - open.jobs.length;
  if (options.open === true || room === 0) return open;
  // Open jobs are among these too, as long as the limit allows.
  const endedSinceMs = Date.now() - RECENT_MS;
  const recent = await readPages(context, limit, { endedSinceMs });
  const ended = recent.jobs.filter((job) => job.endedAtMs > 0).slice(0, room);
  const listed = [...open.jobs, ...ended];
  const newestFirst = listed.toSorted((a, b) => numberOf(b) - numberOf(a));
  return { ...recent, jobs: newestFirst };
}

/** n of `j<n>`. */
const numberOf = (job: Job): number => Number(job.id.slice(1));

async function readPages(
  context: CommandContext,
  limit: number,
  which: { readonly includeEnded?: boolean; readonly endedSinceMs?: number },
): Promise<JobsReport> {
  const client = await context.farm();
  const list: Job[] = [];
  const warnings = new Set<string>();
  for (let pageToken = ''; ;) {
    const pageSize = Math.min(PAGE, limit - list.length);
    const { includeEnded = false, endedSinceMs } = which;
    const request = { pageSize, pageToken, includeEnded, endedSinceMs };
    const page = await client.call(client.jobs.listJobs.bind(client.jobs), request);
    list.push(...page.jobs);
    for (const warning of page.warnings) warnings.add(warning);
    pageToken = page.nextPageToken;
    if (pageToken === '' || list.length >= limit) {
      return { kind: 'jobs', jobs: list, ageMs: page.ageMs, warnings: [...warnings] };
    }
  }
}

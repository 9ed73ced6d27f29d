import { defineCommand, type CommandContext } from '../command.ts';
import type { Job } from '../../proto/gen/furrow/v1/job_service.ts';
import { integerIn } from '../options.ts';

const PAGE = 200;

export const jobs = defineCommand<{ all?: boolean; limit?: number }>({
  name: 'jobs',
  summary: 'list jobs, newest first',
  options: [
    { flags: '-a, --all', help: 'ended jobs too' },
    { flags: '-n, --limit <n>', help: 'at most so many', parse: integerIn(1, 1_000_000) },
  ],
  examples: [
    ['furrow jobs --all', 'what was done so far'],
    ["furrow jobs --json | jq -r '.jobs[].id'", 'ids of the open jobs'],
  ],
  async run(_args, options, context) {
    const limit = options.limit ?? 100;
    const { list, ageMs } = await listJobs(context, options.all === true, limit);
    if (list.length === 0 && !options.all)
      context.out.note('nothing open; furrow jobs --all shows ended ones');
    return { report: { kind: 'jobs', jobs: list, ageMs } };
  },
});

async function listJobs(
  context: CommandContext,
  includeEnded: boolean,
  limit: number,
): Promise<{ list: Job[]; ageMs: number }> {
  const client = await context.farm();
  const list: Job[] = [];
  for (let pageToken = ''; ;) {
    const pageSize = Math.min(PAGE, limit - list.length);
    const request = { pageSize, pageToken, includeEnded };
    const page = await client.call(client.jobs.listJobs.bind(client.jobs), request);
    list.push(...page.jobs);
    pageToken = page.nextPageToken;
    if (pageToken === '' || list.length >= limit) return { list, ageMs: page.ageMs };
  }
}

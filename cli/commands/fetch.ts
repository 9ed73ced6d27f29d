import { defineCommand } from '../command.ts';

export const fetch = defineCommand<{ output?: string; force?: boolean }>({
  name: 'fetch',
  summary: "download a job's files",
  description:
    "Downloads a job's files and proves them whole. A download that was cut goes on where it stopped.",
  arguments: [{ syntax: '<job>', help: 'such as j12' }],
  options: [
    { flags: '-o, --output <path>', help: 'a new file, or a folder (default: this folder)' },
    { flags: '--force', help: 'replace files that are there' },
  ],
  examples: [
    ['furrow fetch j12 -o film.mp4', 'its one file, under a name of your own'],
    ['furrow fetch j12 -o out/', 'all its files, into a folder'],
  ],
  async run([jobId = ''], { output, force = false }, context) {
    const { fetchJob } = await import('../fetch-outputs.ts');
    return fetchJob(jobId, output, force, context);
  },
});

/** What all kinds of `furrow submit` can be told. */
import type { OptionSpec } from './command.ts';
import { checkTarget, isFolder } from './local-files.ts';
import { integerIn, repeated, tickets } from './options.ts';

export interface SubmitOptions {
  readonly name?: string;
  readonly priority?: number;
  readonly maxFailed?: number;
  readonly keepGoing?: boolean;
  readonly clientId?: string;
  readonly owner?: string;
  readonly maxUnits?: number;
  readonly tag?: readonly string[];
  readonly pool?: string;
  readonly ticket?: Readonly<Record<string, number>>;
  readonly watch?: boolean;
  readonly output?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export const SUBMIT_OPTIONS: readonly OptionSpec[] = [
  { flags: '-o, --output <path>', help: 'wait for the end and download to this file or folder' },
  { flags: '--force', help: 'let -o replace a file that is there' },
  {
    flags: '--dry-run',
    help: 'send nothing: only say what the job would be, where it could run, and for how long',
  },
  { flags: '-w, --watch', help: 'follow the job until it ends' },
  { flags: '--name <name>', help: 'name of the job, for people' },
  {
    flags: '--priority <n>',
    help: 'larger first, from -1000 to 1000 (default: 0)',
    parse: integerIn(-1000, 1000),
  },
  {
    flags: '--max-failed <n>',
    help: 'so many failed units the job bears: it succeeds without them (default: 0)',
    parse: integerIn(0, 1_000_000),
  },
  { flags: '--keep-going', help: 'do all the rest that can be done before a job fails' },
  {
    flags: '--owner <name>',
    help: 'on whose account; owners share the farm (default: $FURROW_OWNER, else who you are)',
  },
  {
    flags: '--max-units <n>',
    help: 'most units at once (default: no limit)',
    parse: integerIn(1, 10_000_000),
  },
  { flags: '--tag <name>', help: 'only on agents with this tag; may be repeated', parse: repeated },
  { flags: '--pool <name>', help: 'only on agents of this pool' },
  {
    flags: '--ticket <name[=n]>',
    help: 'take so many of this ticket for each unit (default: 1); may be repeated',
    parse: tickets,
  },
  {
    flags: '--client-id <id>',
    help: 'submitting again with the same id is harmless (default: a new one)',
  },
];

/**
 * Refuses what can be known to fail before anything is sent: see checkTarget. A folder, told by the slash at its end,
 * is made with the first file in it.
 */
export async function checkOutputOption({ output, force }: SubmitOptions): Promise<void> {
  if (output === undefined || (await isFolder(output))) return;
  const isToBeFolder = output.endsWith('/');
  await checkTarget(output.replace(/(?<=[^/])\/+$/, ''), force === true && !isToBeFolder);
}

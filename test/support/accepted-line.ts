/** Whether the program would take a line that some file in deploy/ starts it with: asked of its own parsers. */
import { Writable } from 'node:stream';
import { readAgentConfig } from '../../agent/config.ts';
import { COMMANDS } from '../../cli/commands/table.ts';
import { parseLine } from '../../cli/parse-line.ts';
import { readCoordinatorConfig } from '../../coordinator/config.ts';

export interface AcceptedLine {
  /** Such as `up`, or `coordinator`. */
  readonly command: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export const knowsCommand = (name: string): boolean =>
  COMMANDS.some((command) => command.name === name);

/** FurrowError when it would not; `environment` is what the line is started with. */
export async function acceptedLine(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<AcceptedLine> {
  let accepted: AcceptedLine | undefined;
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  await parseLine(
    argv,
    async ({ name }, args, options) => {
      accepted = { command: name, options: await settingsOf(name, args, options, environment) };
      return 0;
    },
    { stdout: nowhere, stderr: nowhere },
  );
  if (accepted === undefined) throw new Error(`furrow ${argv.join(' ')} starts nothing`);
  return accepted;
}

/** Roles have parsers of their own. */
async function settingsOf(
  name: string,
  args: readonly string[],
  options: object,
  environment: NodeJS.ProcessEnv,
): Promise<Readonly<Record<string, unknown>>> {
  // Nothing is there, so that nothing of this machine counts; an agent reads its token before all else.
  const given = { FURROW_HOME: '/nonexistent', FURROW_TOKEN: 'x', ...environment };
  switch (name) {
    case 'coordinator':
      return { ...readCoordinatorConfig(args, given) };
    case 'agent':
      return { ...(await readAgentConfig(args, given)) };
    default:
      return { ...options };
  }
}

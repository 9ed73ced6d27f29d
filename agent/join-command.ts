/** `furrow join`: makes this machine an agent of a farm, by the line that the farm printed. */
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { isFarmUrl, parseFarmUrl } from '../kit/farm-url.ts';
import { createLog } from '../kit/log.ts';
import { readAgentConfig } from './config.ts';
import { exitCodeOf } from './exit-codes.ts';
import { joinFarm } from './join-farm.ts';
import { readJoined } from './joined.ts';
import { agentIdIn } from './probe/machine.ts';

const USAGE = `furrow join: lets this machine work for a farm

  furrow join 'furrow://HOST:PORT?ca=sha256:…&token=…' [options]

The line comes from furrow agent invite, or from furrow up, on the farm's machine. The farm's certificate
authority is checked against it before anything secret is sent. What this machine gets is kept in its state
folder; start it afterwards with furrow agent.

  --url-file FILE   read the line from a file, or from standard input with -: others on this machine can
                    read what stands on a command line
  --name NAME       this agent's name (default: the host's)
  --state DIR       its state folder (default: FURROW_HOME/agents/NAME)
  --home DIR        default $FURROW_HOME, else ~/.furrow
`;

/** Answers the exit code. */
export async function main(argv: string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(USAGE);
    return 0;
  }
  try {
    process.stdout.write(`${await joinByLine(argv)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`furrow join: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
}

async function joinByLine(argv: readonly string[]): Promise<string> {
  const { url, name, flags } = await readLine(argv);
  const { token, address } = parseFarmUrl(url);
  if (token === undefined) {
    const message = 'the line holds no token: ask for one with furrow agent invite';
    throw new FurrowError('invalid', 'TOKEN_MISSING', message);
  }
  const config = await readAgentConfig(['--farm', url, ...flags], {
    ...process.env,
    FURROW_TOKEN: token,
  });
  const { farm, trust, stateDirectory } = config;
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const start = `furrow agent${name === undefined ? '' : ` --name ${name}`}`;
  if ((await readJoined(stateDirectory)) !== undefined && config.joined !== undefined) {
    return `${config.name} has joined the farm at ${address} already; start it with: ${start}`;
  }
  const agentId = agentIdIn(stateDirectory, config.name);
  const log = createLog({ role: 'join', level: 'silent' });
  const who = { agentId, name: config.name, stateDirectory, log };
  await joinFarm({ farm, trust, token, isPatient: false, ...who }, new AbortController().signal);
  return `${config.name} has joined the farm at ${address}; start it with: ${start}`;
}

interface Line {
  readonly url: string;
  readonly name: string | undefined;
  readonly flags: readonly string[];
}

async function readLine(argv: readonly string[]): Promise<Line> {
  const value = { type: 'string' } as const;
  const options = { 'url-file': value, name: value, state: value, home: value };
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>;
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    throw badUsage(messageOf(error));
  }
  const { 'url-file': file, ...others } = parsed.values;
  const [given, ...more] = parsed.positionals;
  if (more.length > 0 || (given === undefined) === (file === undefined)) {
    throw badUsage("give the farm's line once, in quotes, or --url-file FILE");
  }
  const url = (given ?? (await readUrl(file ?? ''))).trim();
  if (!isFarmUrl(url)) throw badUsage('that is no line of a farm: it begins with furrow://');
  const flags = Object.entries(others).flatMap(([flag, text]) => [`--${flag}`, text]);
  return { url, name: others.name, flags };
}

async function readUrl(file: string): Promise<string> {
  if (file === '-') return readAll(process.stdin);
  return readFile(file, 'utf8').catch((error: unknown) => {
    throw badUsage(`cannot read ${file}: ${messageOf(error)}`);
  });
}

function badUsage(message: string): FurrowError {
  return new FurrowError('invalid', 'BAD_USAGE', `${message}; see furrow join --help`);
}

/** The role `furrow agent`: settings, signals, exit code. */
import { join } from 'node:path';
import { createLog, type Logger } from '../kit/log.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { takeProcessLock } from '../kit/process-lock.ts';
import { Agent } from './agent.ts';
import { exitCodeOf } from './exit-codes.ts';
import { AGENT_USAGE, readAgentConfig, type AgentConfig } from './config.ts';

/** Answers the exit code. */
export async function main(argv: string[]): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(AGENT_USAGE);
    return 0;
  }
  try {
    const config = await readAgentConfig(argv);
    const log = createLog({ role: 'agent', level: config.logLevel });
    const isLooking = !config.isFarmNamed && config.discover;
    const way = isLooking ? await found(config, log) : {};
    await runAgent({ ...config, ...way }, log);
    return 0;
  } catch (error) {
    process.stderr.write(`furrow agent: ${messageOf(error)}\n`);
    return exitCodeOf(error);
  }
}

/** Loaded when it is needed: most agents know where their farm is. */
async function found(
  config: AgentConfig,
  log: Logger,
): Promise<Pick<AgentConfig, 'farm' | 'trust'>> {
  const { lookForFarm } = await import('./look-for-farm.ts');
  return lookForFarm(config, log);
}

async function runAgent(config: AgentConfig, log: Logger): Promise<void> {
  const unlock = lockState(config.stateDirectory);
  const crash = (error: unknown): void => {
    // What is half done is safest given up: units die with the agent, results are on disk.
    log.fatal({ error }, 'the agent met an error that it does not know; it ends');
    unlock();
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  const agent = new Agent(config, log);
  const leave = (): void => agent.leave();
  process.on('SIGTERM', leave);
  process.on('SIGINT', leave);
  const forgetParent = config.exitWithParent ? onParentGone(leave) : () => undefined;
  try {
    await agent.run();
  } finally {
    forgetParent();
    process.off('SIGTERM', leave);
    process.off('SIGINT', leave);
    process.off('uncaughtException', crash);
    unlock();
  }
}

/** A second agent on the same folder would end the first one's units as leftovers. */
function lockState(folder: string): () => void {
  const lock = takeProcessLock(join(folder, 'lock'));
  if (lock.state === 'held') return lock.release;
  const who = `an agent (process ${lock.pid}) runs with the state folder ${folder} already`;
  throw new FurrowError('conflict', 'STATE_IN_USE', `${who}: give this one another --name`);
}

/** Standard input is a pipe from the parent: it ends when the parent does, however that dies. */
function onParentGone(leave: () => void): () => void {
  const { stdin } = process;
  stdin.once('close', leave);
  stdin.on('error', () => stdin.destroy());
  stdin.resume();
  return () => {
    stdin.off('close', leave);
    stdin.destroy();
  };
}

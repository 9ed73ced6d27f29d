/**
 * A farm on one machine: nats-server, coordinator and agents as children of this process, started in
 * that order, kept running, and stopped in the opposite order.
 */
import { availableParallelism, hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { readFarmFile, type FarmFile, type FurrowHome } from '../../kit/furrow-home.ts';
import { createLog } from '../../kit/log.ts';
import { PACKAGE_ROOT } from '../../kit/version.ts';
import { takeProcessLock } from '../../kit/process-lock.ts';
import { ensureToken } from '../../kit/token-file.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { FarmClient } from '../client.ts';
import { findNatsServer } from './nats-binary.ts';
import { keepCertificate, natsIdentity } from './nats-identity.ts';
import { startNatsServer, type NatsServer } from './nats-server.ts';
import { startRole } from './role-process.ts';
import { Supervisor, type SupervisorEvent } from './supervisor.ts';

export interface UpOptions {
  readonly home: FurrowHome;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Names of the agents that share this machine. */
  readonly agents: readonly string[];
  /** Cores that each agent offers; default its share of the machine's. */
  readonly coresPerAgent?: number;
  /** 0 takes a free one. */
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly natsPort: number;
  /** Address to listen on, and how other machines reach it. */
  readonly listen: string;
  readonly advertise: string | undefined;
  /** Goes on with a NATS store that lacks what was seen of it. */
  readonly acceptRestoredStore?: boolean;
  readonly signal: AbortSignal;
  /** Something happened to a part that runs. */
  readonly onEvent: (part: string, event: SupervisorEvent) => void;
}

export interface RunningFarm {
  readonly farm: FarmFile;
  readonly natsVersion: string;
  readonly token: string;
  /** Ends everything, agents first. */
  readonly stop: (onPart: (part: string) => void) => Promise<void>;
  /** Kills everything at once; `stop` then waits until it is gone. */
  readonly kill: () => void;
  /** `kill -9` of one agent, which is not started again. Answers its process. */
  readonly killAgent: (name: string) => number | undefined;
}

/** Units that run get so long to end by themselves; then they are handed back. */
const AGENT_DRAIN_MS = 5_000;
const AGENT_GRACE_MS = 15_000;
const COORDINATOR_GRACE_MS = 15_000;
const NATS_GRACE_MS = 10_000;

interface Part {
  readonly name: string;
  readonly supervisor: Supervisor;
  readonly graceMs: number;
}

/**
 * Settles once the farm works. FurrowError: conflict FARM_RUNNING; failed-precondition ROLE_REFUSED; and those of findNatsServer, startNatsServer and startRole. Nothing is left running
 * when it rejects.
 */
export async function startFarm(options: UpOptions): Promise<RunningFarm> {
  const { home, signal } = options;
  const reachable = reachableHost(options);
  const lock = takeProcessLock(join(home.root, 'up.lock'));
  if (lock.state === 'taken') throw await alreadyRunning(home, lock.pid);
  const parts: Part[] = [];
  const endings: (() => void)[] = [];
  const stop = async (onPart: (part: string) => void): Promise<void> => {
    for (const end of endings) end();
    // Agents together; then the coordinator, which may still commit; then its journal.
    const agents = parts.filter((part) => part.name.startsWith('agent'));
    if (agents.length > 0) onPart(agents.map((part) => part.name).join(', '));
    await Promise.all(agents.map((part) => part.supervisor.stop(part.graceMs)));
    for (const part of parts.filter((part) => !agents.includes(part)).toReversed()) {
      onPart(part.name);
      await part.supervisor.stop(part.graceMs);
    }
    lock.release();
  };
  const add = async (part: Part): Promise<void> => {
    signal.throwIfAborted();
    parts.push(part);
    await part.supervisor.start();
  };
  try {
    const token = await ensureToken(home.tokenFile);
    const nats = await natsPart(options, token, reachable);
    await add(nats.part);
    endings.push(keepCertificate(home, [options.listen, reachable], nats.server));
    const coordinator = coordinatorPart(options, () => nats.server()!, reachable);
    await add(coordinator);
    const farm = (await readFarmFile(home.farmFile))!;
    await Promise.all(options.agents.map((name) => add(agentPart(options, name, token))));
    return {
      farm,
      natsVersion: nats.version,
      token,
      stop,
      kill: () => parts.forEach((part) => part.supervisor.kill()),
      killAgent: (name) => {
        const agent = parts.find((part) => part.name === `agent ${name}`)?.supervisor;
        const pid = agent?.child?.pid;
        agent?.kill();
        return pid;
      },
    };
  } catch (error) {
    await stop(() => undefined);
    throw error;
  }
}

/** The host that others reach this farm by. */
function reachableHost({ listen, advertise }: UpOptions): string {
  if ((listen === '0.0.0.0' || listen === '::') && advertise === undefined) {
    const message = `--listen ${listen} does not say how other machines reach this one: add --advertise HOST`;
    throw new FurrowError('invalid', 'ADVERTISE_MISSING', message);
  }
  return advertise ?? listen;
}

async function alreadyRunning(home: FurrowHome, pid: number): Promise<FurrowError> {
  const farm = await readFarmFile(home.farmFile).catch(() => undefined);
  const where = farm ? ` at ${farm.grpc}` : '';
  const message = `a farm runs already${where} (furrow up, process ${pid}, state in ${home.root}): use it, or stop it with kill ${pid}`;
  return new FurrowError('conflict', 'FARM_RUNNING', message);
}

async function natsPart(
  options: UpOptions,
  token: string,
  reachable: string,
): Promise<{ part: Part; version: string; server: () => NatsServer | undefined }> {
  const { home, environment, clock, onEvent, listen } = options;
  const binary = await findNatsServer(PACKAGE_ROOT, environment);
  let server: NatsServer | undefined;
  const start = async (): Promise<NatsServer> => {
    server = await startNatsServer({
      binary,
      directory: home.natsDir,
      monitorSecret: token,
      ...(await natsIdentity(home, [listen, reachable])),
      host: listen,
      advertiseHost: reachable,
      // Clients come back to where it was.
      port: server?.port ?? options.natsPort,
      monitorPort: server?.monitorPort ?? 0,
      maxFileStoreBytes: undefined,
      log: createLog({ role: 'up', level: 'silent' }),
    });
    return server;
  };
  const tell = (event: SupervisorEvent): void => onEvent('nats-server', event);
  const supervisor = new Supervisor({ start, clock, onEvent: tell });
  const part = { name: 'nats-server', supervisor, graceMs: NATS_GRACE_MS };
  return { part, version: binary.version, server: () => server };
}

function coordinatorPart(options: UpOptions, nats: () => NatsServer, reachable: string): Part {
  const { home, environment, clock, onEvent, listen } = options;
  let known: FarmFile | undefined;
  const start = (): Promise<Awaited<ReturnType<typeof startRole>>> => {
    const { url, monitorUrl } = nats();
    const argv = [
      'coordinator',
      '--home',
      home.root,
      '--nats',
      url,
      '--nats-private',
      '--listen',
      listen,
    ];
    argv.push('--grpc-port', String(portOf(known?.grpc) ?? options.grpcPort));
    argv.push('--http-port', String(portOf(known?.http) ?? options.httpPort));
    if (reachable !== listen) argv.push('--advertise', reachable);
    // Decided for the store as it is now; whatever becomes of it while we run is another question.
    if (options.acceptRestoredStore && known === undefined) argv.push('--accept-restored-store');
    return startRole({
      argv,
      // A secret, and therefore not on the line, which everyone on the machine can read.
      environment: { ...environment, FURROW_NATS_MONITOR: monitorUrl },
      logPath: join(home.coordinatorDir, 'coordinator.log'),
      isReady: async (pid) => {
        const farm = await readFarmFile(home.farmFile);
        if (farm?.pid !== pid) return false;
        known = farm;
        return true;
      },
    });
  };
  const tell = (event: SupervisorEvent): void => onEvent('coordinator', event);
  const supervisor = new Supervisor({ start, clock, onEvent: tell });
  return { name: 'coordinator', supervisor, graceMs: COORDINATOR_GRACE_MS };
}

function portOf(address: string | undefined): number | undefined {
  const port = address?.split(':').at(-1);
  return port === undefined ? undefined : Number(port);
}

/** One agent has the machine's name and all of it; several share it. */
export function agentNames(count: number): string[] {
  const host =
    hostname()
      .replace(/[^\w.-]/g, '-')
      .slice(0, 60) || 'agent';
  if (count === 1) return [host];
  return Array.from({ length: count }, (_, i) => `${host}-${i + 1}`);
}

function agentPart(options: UpOptions, name: string, token: string): Part {
  const { home, environment, clock, onEvent, agents, coresPerAgent } = options;
  const start = async (): Promise<Awaited<ReturnType<typeof startRole>>> => {
    const { grpc, trust } = (await readFarmFile(home.farmFile))!;
    const argv = ['agent', '--home', home.root, '--name', name, '--farm', grpc];
    argv.push('--token-file', home.tokenFile, '--drain-grace-ms', String(AGENT_DRAIN_MS));
    argv.push(...shareOf(agents.length, coresPerAgent));
    // The farm's owner is this machine's.
    if (!environment['FURROW_AGENT_ALLOW_COMMANDS']) argv.push('--allow-commands', 'all');
    const client = new FarmClient({ address: grpc, trust, token }, new AbortController().signal);
    try {
      return await startRole({
        argv,
        environment,
        logPath: join(home.agentDir(name), 'agent.log'),
        isReady: () => isOnline(client, name),
      });
    } finally {
      client.close();
    }
  };
  const tell = (event: SupervisorEvent): void => onEvent(`agent ${name}`, event);
  const supervisor = new Supervisor({ start, clock, onEvent: tell });
  return { name: `agent ${name}`, supervisor, graceMs: AGENT_GRACE_MS };
}

/** Agents of one machine must not book the same cores twice, unless the caller says how many. */
function shareOf(agents: number, wantedCores: number | undefined): string[] {
  if (agents === 1 && wantedCores === undefined) return [];
  const cores = Math.max(0.5, Math.floor((availableParallelism() * 2) / agents) / 2);
  const ram = Math.floor(totalmem() / agents);
  return ['--cpus', String(wantedCores ?? cores), '--ram', String(ram)];
}

async function isOnline(client: FarmClient, name: string): Promise<boolean> {
  try {
    const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
    return agents.some(
      (agent) => agent.name === name && agent.state === AgentState.AGENT_STATE_ONLINE,
    );
  } catch (error) {
    // The coordinator may be on its way up again; only a farm that refuses us is hopeless.
    if (error instanceof FurrowError && error.retryable) return false;
    throw error;
  }
}

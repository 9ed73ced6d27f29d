/** FarmService: how the farm is, and its agents. */
import {
  AgentState,
  JournalState,
  type Agent,
  type FarmServiceServer,
  type GetStatusResponse,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import type { Clock } from '../../kit/clock.ts';
import type { CommandLoop } from '../command-loop.ts';
import type { AgentRecord, Farm } from '../domain/farm.ts';
import { type AgentLiveness, isOnline, type Liveness } from '../domain/liveness.ts';
import type { ReadModel } from '../read-model.ts';
import type { AgentStreams } from './agent-service.ts';
import { type Gate, unary } from './handlers.ts';
import { unlessRefused } from './wire.ts';

/** What is known of the machines below the farm, read now and then. */
export interface Surroundings {
  readonly durable: boolean;
  /** One line: what was read, or why it is not proven. */
  readonly durability: string;
  readonly natsVersion: string;
  readonly natsConnected: boolean;
  readonly blobDiskFreeBytes: number;
  /** Set when the blob store takes no uploads. */
  readonly blobDiskWarning: string;
  /** Where the blobs are: a folder, or s3://bucket/prefix. */
  readonly blobStore: string;
  /** Why it does not answer; empty when it does. */
  readonly blobStoreTrouble: string;
}

export interface FarmServiceOptions {
  readonly gate: Gate;
  readonly loop: CommandLoop;
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly readModel: ReadModel;
  readonly streams: AgentStreams;
  readonly clock: Clock;
  readonly version: string;
  readonly surroundings: () => Surroundings;
  readonly blobUrl: () => string;
}

export function farmService(options: FarmServiceOptions): FarmServiceServer {
  const { gate, loop } = options;
  const drain = (draining: boolean) => async (request: { readonly agent: string }) => {
    unlessRefused(await loop.submit({ type: 'DrainAgent', agent: request.agent, draining }));
    return {};
  };
  return {
    getStatus: unary(gate, 'read-farm', async () => statusOfFarm(options)),
    listAgents: unary(gate, 'read-farm', async () => ({
      agents: [...options.farm.agents.values()].map((record) => agentToWire(options, record)),
    })),
    drainAgent: unary(gate, 'administer-farm', drain(true)),
    undrainAgent: unary(gate, 'administer-farm', drain(false)),
  };
}

function statusOfFarm(options: FarmServiceOptions): GetStatusResponse {
  const { farm, liveness, readModel, clock, surroundings } = options;
  const around = surroundings();
  const open = readModel.open();
  const sum = (of: 'queued' | 'leased'): number =>
    open.reduce((total, job) => total + job.steps.reduce((units, step) => units + step[of], 0), 0);
  const nowMs = clock.monotonicMs();
  const online = [...liveness.agents.values()].filter((agent) => isOnline(liveness, agent, nowMs));
  return {
    farmId: farm.farmId,
    epoch: farm.epoch,
    durable: around.durable,
    durability: around.durability,
    journal: journalState(options.loop),
    warnings: warningsOf(options, around, sum('queued'), online.length),
    jobsOpen: open.length,
    unitsQueued: sum('queued'),
    unitsLeased: sum('leased'),
    agentsOnline: online.length,
    agentsKnown: farm.agents.size,
    blobDiskFreeBytes: around.blobDiskFreeBytes,
    version: options.version,
    journalSequence: readModel.sequence,
    natsVersion: around.natsVersion,
    blobUrl: options.blobUrl(),
    blobStore: around.blobStore,
    blobStoreAnswers: around.blobStoreTrouble === '',
  };
}

function journalState(loop: CommandLoop): JournalState {
  switch (loop.standing.state) {
    case 'ok':
      return JournalState.JOURNAL_STATE_OK;
    case 'in-doubt':
      return JournalState.JOURNAL_STATE_IN_DOUBT;
    case 'refusing':
      return JournalState.JOURNAL_STATE_REFUSING;
  }
}

function warningsOf(
  options: FarmServiceOptions,
  around: Surroundings,
  queued: number,
  online: number,
): string[] {
  const { standing } = options.loop;
  const warnings: string[] = [];
  if (!around.natsConnected) {
    warnings.push('NATS is not reachable: grants and submits wait, running units go on');
  } else if (standing.state === 'in-doubt') {
    warnings.push('the journal does not answer: grants and submits wait, running units go on');
  }
  if (standing.state === 'refusing') warnings.push(standing.message);
  if (!around.durable)
    warnings.push(`acknowledgements are not proven durable: ${around.durability}`);
  if (around.blobStoreTrouble !== '') warnings.push(around.blobStoreTrouble);
  if (around.blobDiskWarning !== '') warnings.push(around.blobDiskWarning);
  if (queued > 0 && online === 0) {
    warnings.push(`${queued} units wait and no agent is online: start one with furrow agent`);
  }
  return warnings;
}

function agentToWire(options: FarmServiceOptions, record: AgentRecord): Agent {
  const { liveness, streams, clock } = options;
  const live = liveness.agents.get(record.id);
  const nowMs = clock.monotonicMs();
  return {
    id: record.id,
    name: record.name,
    state: stateOf(liveness, record, live, nowMs),
    lastBeatAgeMs: live === undefined ? 0 : Math.round(nowMs - live.lastBeatMs),
    capacity: streams.capacityOf(record.id),
    leases: record.leases.size,
    bookedCpuMillis: record.booking.cpuMillis,
    bookedRamBytes: record.booking.ramBytes,
    version: record.version,
  };
}

function stateOf(
  liveness: Liveness,
  record: AgentRecord,
  live: AgentLiveness | undefined,
  nowMs: number,
): AgentState {
  if (live === undefined || nowMs - live.lastBeatMs >= liveness.leaseTtlMs) {
    return AgentState.AGENT_STATE_OFFLINE;
  }
  if (!isOnline(liveness, live, nowMs)) return AgentState.AGENT_STATE_SUSPECT;
  if (record.draining || live.leaving) return AgentState.AGENT_STATE_DRAINING;
  return AgentState.AGENT_STATE_ONLINE;
}

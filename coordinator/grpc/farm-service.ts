/** FarmService: how the farm is, and its agents. */
import {
  AgentState,
  JournalState,
  type Agent,
  type FarmServiceServer,
  type GetStatusResponse,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import type { Clock } from '../../kit/clock.ts';
import type { AgentRecord } from '../domain/farm.ts';
import { type AgentLiveness, isOnline, type Liveness } from '../domain/liveness.ts';
import type { Office } from '../office.ts';
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
  readonly office: Office;
  readonly readModel: ReadModel;
  readonly streams: AgentStreams;
  readonly clock: Clock;
  readonly version: string;
  readonly surroundings: () => Surroundings;
  readonly blobUrl: () => string;
  /** Where others reach this coordinator: HOST:PORT. */
  readonly grpcAddress: () => string;
}

export function farmService(options: FarmServiceOptions): FarmServiceServer {
  const { gate, office } = options;
  const drain = (draining: boolean) => async (request: { readonly agent: string }) => {
    unlessRefused(await office.submit({ type: 'DrainAgent', agent: request.agent, draining }));
    return {};
  };
  return {
    getStatus: unary(gate, 'read-farm', async () => statusOfFarm(options)),
    listAgents: unary(gate, 'read-farm', async () => ({
      agents: [...office.farm.agents.values()].map((record) => agentToWire(options, record)),
    })),
    drainAgent: unary(gate, 'administer-farm', drain(true)),
    undrainAgent: unary(gate, 'administer-farm', drain(false)),
  };
}

function statusOfFarm(options: FarmServiceOptions): GetStatusResponse {
  const { office, readModel, clock, surroundings } = options;
  const { farm, liveness, duty } = office;
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
    journal: journalState(office),
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
    blobStore: around.blobStore,
    blobStoreAnswers: around.blobStoreTrouble === '',
    blobUrl: (duty.state === 'standby' && duty.leader?.http) || options.blobUrl(),
    standby: duty.state === 'standby',
    leader: duty.state === 'standby' ? (duty.leader?.grpc ?? '') : options.grpcAddress(),
    lagCommits: duty.state === 'standby' ? duty.lagCommits : 0,
    ageMs: office.ageMs,
  };
}

function journalState(office: Office): JournalState {
  switch (office.standing.state) {
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
  const { standing, duty, ageMs } = options.office;
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
  if (duty.state === 'standby') {
    if (ageMs > 0) warnings.push(`what is shown may be ${Math.ceil(ageMs / 1000)} s old`);
    if (duty.leader === undefined) warnings.push('no coordinator is known to lead');
  } else if (queued > 0 && online === 0) {
    warnings.push(`${queued} units wait and no agent is online: start one with furrow agent`);
  }
  return warnings;
}

function agentToWire(options: FarmServiceOptions, record: AgentRecord): Agent {
  const { office, streams, clock } = options;
  const { liveness } = office;
  const live = liveness.agents.get(record.id);
  const nowMs = clock.monotonicMs();
  return {
    id: record.id,
    name: record.name,
    // Agents talk to the leader: a standby does not hear them.
    state:
      office.duty.state === 'standby'
        ? AgentState.AGENT_STATE_UNSPECIFIED
        : stateOf(liveness, record, live, nowMs),
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

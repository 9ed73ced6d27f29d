/** FarmService: how the farm is, and its agents. */
import {
  AgentState,
  JournalState,
  type Agent,
  type FarmServiceServer,
  type GetStatusResponse,
  type LearnedSize as WireSize,
  type SetAgentPolicyRequest,
  type SetAgentPolicyResponse,
  type SetOwnerRequest,
  type SetOwnerResponse,
} from '../../proto/gen/furrow/v1/farm_service.ts';
import type { Clock } from '../../kit/clock.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { faultOfTerms, policyFromTerms, termsOfPolicy } from '../../proto/agent-policy.ts';
import { whySuspended } from '../domain/agent-trust.ts';
import type { AgentView } from '../domain/views.ts';
import { type LearnedSize, usualPeakBytes, usualRunMs } from '../domain/learned-sizes.ts';
import { type AgentLiveness, isOnline, type Liveness } from '../domain/liveness.ts';
import { whyClosed } from '../domain/roster.ts';
import { faultOfVersion, upgradeWarning } from '../domain/version-skew.ts';
import type { Office } from '../office.ts';
import type { ReadModel } from '../read-model.ts';
import type { AgentStreams } from './agent-service.ts';
import { type Gate, unary } from './handlers.ts';
import { sharingOf } from './sharing.ts';
import { createToken, listTokens, type TokensOptions } from './tokens.ts';
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

export interface FarmServiceOptions extends TokensOptions {
  readonly gate: Gate;
  readonly office: Office;
  readonly readModel: ReadModel;
  /** One line each. */
  readonly archiveDamage: () => readonly string[];
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
    getStatus: unary(gate, '/furrow.v1.FarmService/GetStatus', async (_request, { owner }) =>
      statusOfFarm(options, owner),
    ),
    listAgents: unary(gate, '/furrow.v1.FarmService/ListAgents', async () => ({
      agents: options.readModel.agents().map((view) => agentToWire(options, view)),
      ageMs: office.ageMs,
      coordinatorVersion: options.version,
    })),
    drainAgent: unary(gate, '/furrow.v1.FarmService/DrainAgent', drain(true)),
    undrainAgent: unary(gate, '/furrow.v1.FarmService/UndrainAgent', drain(false)),
    listSizes: unary(gate, '/furrow.v1.FarmService/ListSizes', async () => ({
      sizes: await office.read(({ learned }) => [...learned.values()].map(sizeToWire).toReversed()),
    })),
    setTickets: unary(gate, '/furrow.v1.FarmService/SetTickets', async ({ name, limit }) => {
      unlessRefused(await office.submit({ type: 'SetTickets', name, limit }));
      return {};
    }),
    setOwner: unary(gate, '/furrow.v1.FarmService/SetOwner', (request) =>
      setOwner(office, request),
    ),
    revokeAgent: unary(gate, '/furrow.v1.FarmService/RevokeAgent', async ({ agent }) => {
      unlessRefused(await office.submit({ type: 'RevokeAgent', agent }));
      return {};
    }),
    createToken: unary(gate, '/furrow.v1.FarmService/CreateToken', (request) =>
      createToken(options, request),
    ),
    listTokens: unary(gate, '/furrow.v1.FarmService/ListTokens', () => listTokens(options)),
    revokeToken: unary(gate, '/furrow.v1.FarmService/RevokeToken', async ({ id }) => {
      unlessRefused(await office.submit({ type: 'RevokeToken', id }));
      return {};
    }),
    setAgentPolicy: unary(gate, '/furrow.v1.FarmService/SetAgentPolicy', (request) =>
      setPolicy(office, request),
    ),
  };
}

async function setOwner(
  office: Office,
  { name, weight, maxUnits, maxQueued, maxStoredBytes }: SetOwnerRequest,
): Promise<SetOwnerResponse> {
  if (maxQueued !== undefined || maxStoredBytes !== undefined) {
    unlessRefused(await office.submit({ type: 'SetQuota', name, maxQueued, maxStoredBytes }));
  }
  unlessRefused(await office.submit({ type: 'SetOwner', name, weight, maxUnits }));
  return {};
}

async function setPolicy(
  office: Office,
  request: SetAgentPolicyRequest,
): Promise<SetAgentPolicyResponse> {
  const policy = request.policy && termsOfPolicy(request.policy);
  const fault = policy && faultOfTerms(policy);
  if (fault !== undefined) throw new FurrowError('invalid', 'POLICY_INVALID', fault);
  unlessRefused(await office.submit({ type: 'SetAgentPolicy', agent: request.agent, policy }));
  return { policy: policy && policyFromTerms(policy) };
}

/** `owner`: who sees only their own; empty for whoever sees all. */
function statusOfFarm(options: FarmServiceOptions, owner: string): GetStatusResponse {
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
    warnings: warningsOf(options, around, sum('queued'), online),
    jobsOpen: open.length,
    unitsQueued: sum('queued'),
    unitsLeased: sum('leased'),
    agentsOnline: online.length,
    agentsKnown: readModel.agents().length,
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
    sharing: sharingOf(farm, liveness, nowMs, owner),
  };
}

function sizeToWire(learned: LearnedSize): WireSize {
  const { kind, units, ram, vram } = learned;
  const [ramBytes = 0, vramBytes = 0] = [usualPeakBytes(ram), usualPeakBytes(vram)];
  return { kind, units, ramBytes, vramBytes, runMs: Math.round(usualRunMs(learned) ?? 0) };
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
  online: readonly AgentLiveness[],
): string[] {
  const { standing, duty, ageMs, stallWarning } = options.office;
  const warnings: string[] = [];
  if (!around.natsConnected) {
    warnings.push('NATS is not reachable: grants and submits wait, running units go on');
  } else if (standing.state === 'in-doubt') {
    warnings.push('the journal does not answer: grants and submits wait, running units go on');
  }
  if (standing.state === 'refusing') warnings.push(standing.message);
  warnings.push(...troubleOfAgents(options));
  const known = online.flatMap(({ agentId }) => options.office.farm.agents.get(agentId) ?? []);
  const upgrade = upgradeWarning(known, options.version);
  if (upgrade !== undefined) warnings.push(upgrade);
  if (ageMs > 0) warnings.push(`what is shown may be ${Math.ceil(ageMs / 1000)} s old`);
  if (!around.durable)
    warnings.push(`acknowledgements are not proven durable: ${around.durability}`);
  if (around.blobStoreTrouble !== '') warnings.push(around.blobStoreTrouble);
  if (around.blobDiskWarning !== '') warnings.push(around.blobDiskWarning);
  warnings.push(...options.archiveDamage());
  if (duty.state === 'standby') {
    if (duty.leader === undefined) warnings.push('no coordinator is known to lead');
  } else if (queued > 0 && online.length === 0) {
    warnings.push(`${queued} units wait and no agent is online: start one with furrow agent`);
  } else if (queued > 0 && online.every(({ capacity }) => capacity?.closedReason !== undefined)) {
    warnings.push(`${queued} units wait and no agent is to work now: furrow agents says why`);
  } else if (stallWarning !== undefined) warnings.push(stallWarning);
  return warnings;
}

/** What several cannot reach, and those that get nothing because of how their units went. */
function troubleOfAgents({ office, clock }: FarmServiceOptions): string[] {
  const { farm, liveness } = office;
  const nowMs = clock.monotonicMs();
  const warnings: string[] = [];
  const { pausedUntilMs, cause } = liveness.shared;
  if (nowMs < pausedUntilMs) warnings.push(`grants wait a while, for all agents: ${cause}`);
  for (const { agentId, trust } of liveness.agents.values()) {
    const why = whySuspended(trust, nowMs);
    if (why !== undefined) warnings.push(`${farm.agents.get(agentId)?.name ?? agentId}: ${why}`);
  }
  return warnings;
}

function agentToWire(options: FarmServiceOptions, view: AgentView): Agent {
  const { office, streams, clock } = options;
  const { liveness } = office;
  const live = liveness.agents.get(view.id);
  const nowMs = clock.monotonicMs();
  const state = stateSeen(options, view, live, nowMs);
  return {
    id: view.id,
    name: view.name,
    state,
    lastBeatAgeMs: live === undefined ? 0 : Math.round(nowMs - live.lastBeatMs),
    capacity: streams.capacityOf(view.id),
    leases: view.leases,
    bookedCpuMillis: view.bookedCpuMillis,
    bookedRamBytes: view.bookedRamBytes,
    version: view.version,
    policy: view.policy && policyFromTerms(view.policy),
    closedReason: closedReason(options, view, state, live),
  };
}

/** Of those that are away: a version that would be refused. */
function closedReason(
  { office, clock, version }: FarmServiceOptions,
  view: AgentView,
  state: AgentState,
  live: AgentLiveness | undefined,
): string | undefined {
  if (state === AgentState.AGENT_STATE_OFFLINE) return faultOfVersion(view, version);
  const record = office.farm.agents.get(view.id);
  const isOnline = state === AgentState.AGENT_STATE_ONLINE;
  if (!isOnline || live === undefined || record === undefined) return undefined;
  const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  return whyClosed(office.liveness, live, record, now);
}

function stateSeen(
  { office }: FarmServiceOptions,
  view: AgentView,
  live: AgentLiveness | undefined,
  nowMs: number,
): AgentState {
  if (view.isRevoked) return AgentState.AGENT_STATE_REVOKED;
  // Agents talk to the leader: a standby does not hear them.
  if (office.duty.state === 'standby') return AgentState.AGENT_STATE_UNSPECIFIED;
  return stateOf(office.liveness, view, live, nowMs);
}

function stateOf(
  liveness: Liveness,
  { draining }: AgentView,
  live: AgentLiveness | undefined,
  nowMs: number,
): AgentState {
  if (live === undefined || nowMs - live.lastBeatMs >= liveness.leaseTtlMs) {
    return AgentState.AGENT_STATE_OFFLINE;
  }
  if (!isOnline(liveness, live, nowMs)) return AgentState.AGENT_STATE_SUSPECT;
  if (draining || live.leaving) return AgentState.AGENT_STATE_DRAINING;
  return AgentState.AGENT_STATE_ONLINE;
}

/** Opens what an agent needs to serve the farm that it has enrolled in. Nothing is started yet. */
import { join } from 'node:path';
import { systemClock } from '../kit/clock.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { EnrolAgentResponse } from '../proto/gen/furrow/v1/agent_service.ts';
import { AgentCore, type UnitExecutor } from './agent-core.ts';
import type { AgentState } from './agent-state.ts';
import { AttemptFiles } from './attempt-files.ts';
import { type Blobs, openBlobs } from './blobs.ts';
import { createExecutor } from './execute-unit.ts';
import { FailureStreak } from './failure-streak.ts';
import { whyNotFitting } from './fits.ts';
import type { Joined } from './joined.ts';
import { LearnedRoom } from './models/learned-room.ts';
import { SessionPool } from './models/session-pool.ts';
import { natsWay } from './nats-way.ts';
import { OutboxLog } from './outbox-log.ts';
import { OwnerWatch } from './owner/owner-watch.ts';
import { useReader } from './owner/read-use.ts';
import type { CapacityProbe } from './probe/capacity-probe.ts';
import { MemoryLeft } from './process/memory-left.ts';
import { runnerRegistry } from './runners/registry.ts';
import type { UnitIsolation } from './sandbox/isolation.ts';
import type { Session } from './session.ts';
import { stateFile } from './state-file.ts';
import { WorkPlane } from './work-plane.ts';

/** A GPU's illness is told before what it cost, or its whole machine would be blamed; not at any price. */
export const ILLNESS_LIMIT_MS = 1_000;

export interface StayOptions {
  readonly state: AgentState;
  readonly session: Session;
  readonly enrolment: EnrolAgentResponse;
  readonly joined: Joined;
  readonly probe: CapacityProbe;
  readonly isolation: UnitIsolation;
}

/** What a stay is made of, opened and not yet started. */
export interface StayParts {
  readonly owner: OwnerWatch;
  readonly workPlane: WorkPlane;
  readonly blobs: Blobs;
  readonly storage: OutboxLog;
  readonly models: SessionPool;
  readonly core: AgentCore;
  /** What NATS is shown, from now on what was told last. */
  readonly natsJwt: { now: string };
}

/** FurrowError: as the blob cache and the outbox; invalid BAD_FARM_ID. */
export async function openStay(options: StayOptions): Promise<StayParts> {
  const { state, enrolment, joined, probe } = options;
  const { config, log, seen } = state;
  const { farmId } = enrolment;
  const natsJwt = { now: enrolment.natsJwt };
  log.info({ farmId, capacity: probe.current }, 'enrolled');
  seen.note(enrolment.place);
  const workPlane = new WorkPlane({
    servers: enrolment.natsUrls,
    ...natsWay(enrolment, joined, natsJwt),
    agentId: state.identity.agentId,
    session: state.session,
    seen: () => seen.place,
    log,
  });
  const blobs = await openBlobs({
    url: enrolment.blobUrl,
    token: joined.key,
    trust: config.trust,
    stateDirectory: config.stateDirectory,
    cacheBytes: config.blobCacheBytes,
    log,
  });
  const folder = join(config.stateDirectory, 'farms', folderName(farmId));
  const storage = new OutboxLog(join(folder, 'outbox'), log);
  const files = new AttemptFiles(join(folder, 'attempts'));
  const owner = watchOwner(options, blobs, () => core.gpusInUse);
  const models = openModels(options);
  const executor = executorOf(options, { workPlane, blobs, models, files });
  const core = coreOf(options, { owner, workPlane, storage, executor });
  await files.sweep(await core.restore());
  return { owner, workPlane, blobs, storage, models, core, natsJwt };
}

function watchOwner(
  { state, session, probe }: StayOptions,
  blobs: Blobs,
  gpusInUse: () => ReadonlySet<string>,
): OwnerWatch {
  return new OwnerWatch({
    clock: systemClock,
    own: state.config.own,
    readUse: useReader({
      isOurs: (group) => state.sampler.watches(group),
      busiestGpuBut: (gpuIds) => probe.foreignGpuPercent(gpuIds),
      gpusInUse,
    }),
    changed: () => session.beatSoon(),
    limitTransfers: (bytesPerSecond) => blobs.limitRate(bytesPerSecond),
  });
}

/** Beside the units' directories, so that both can have the same pipes. */
function openModels({ state, probe, isolation: { sandbox } }: StayOptions): SessionPool {
  const { stateDirectory } = state.config;
  const memoryLeft = new MemoryLeft();
  return new SessionPool({
    host: { records: state.records, sampler: state.sampler, sandbox },
    memory: state.memory.guard,
    memoryLeft: () => memoryLeft.read(),
    folder: join(stateDirectory, 'models'),
    learned: new LearnedRoom(stateFile(stateDirectory, 'models-learned.json')),
    proven: () => probe.current.attributes,
    log: state.log,
  });
}

function executorOf(
  { state, session, probe, isolation: { sandbox, rules } }: StayOptions,
  {
    workPlane,
    ...parts
  }: Pick<StayParts, 'workPlane' | 'blobs' | 'models'> & { readonly files: AttemptFiles },
): UnitExecutor {
  return createExecutor({
    ...parts,
    clock: systemClock,
    processes: { records: state.records, sampler: state.sampler, sandbox },
    programs: rules,
    memory: state.memory.guard,
    runners: runnerRegistry,
    telemetry: workPlane,
    gpus: {
      faultOf: async (gpuIds) => {
        const fault = await probe.faultOfGpus(gpuIds);
        if (fault === null) return null;
        await probe.refresh();
        await session.beatNow(ILLNESS_LIMIT_MS);
        return fault;
      },
      giveUp: (gpuIds, why) => probe.giveUpGpus(gpuIds, why),
    },
    checkpoints: workPlane,
    failurePatterns: state.config.failurePatterns,
    log: state.log,
  });
}

function coreOf(
  { state, session, enrolment, probe }: StayOptions,
  {
    owner,
    workPlane,
    ...parts
  }: Pick<StayParts, 'owner' | 'workPlane' | 'storage'> & { readonly executor: UnitExecutor },
): AgentCore {
  const { farmId } = enrolment;
  const streak = new FailureStreak();
  return new AgentCore({
    ...parts,
    farmId,
    epochSeen: state.seen.highestEpochOf(farmId),
    epochRose: (epoch) => state.seen.noteEpoch(farmId, epoch),
    leaseTtlMs: enrolment.leaseTtlMs,
    clock: systemClock,
    random: Math.random,
    fits: (demand, beside, gpuIds) =>
      whyNotFitting(demand, beside, gpuIds, owner.offered(probe.current)),
    channel: workPlane,
    changed: () => {
      session.beatSoon();
      state.changes.notify();
    },
    complain: (message, token) => state.log.error({ token }, message),
    concluded: (result, assignment) => {
      const why = streak.note(result, assignment);
      if (why !== null) probe.reprove(why);
    },
  });
}

function folderName(farmId: string): string {
  if (!/^[\w-]{1,64}$/.test(farmId)) {
    throw new FurrowError('invalid', 'BAD_FARM_ID', `the farm's id ${farmId} cannot name a folder`);
  }
  return farmId;
}

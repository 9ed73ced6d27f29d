/**
 * One run of the agent: puts the parts together in the order that the lease rules ask for, and takes
 * them apart again without losing a result.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  AgentServiceClient,
  type EnrolAgentRequest,
  type EnrolAgentResponse,
} from '../proto/gen/furrow/v1/agent_service.ts';
import { systemClock } from '../kit/clock.ts';
import { channelCredentialsFor } from '../kit/channel-trust.ts';
import { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { AgentCore } from './agent-core.ts';
import { AttemptFiles } from './attempt-files.ts';
import { openBlobs, type Blobs } from './blobs.ts';
import { Changes } from './changes.ts';
import type { AgentConfig } from './config.ts';
import { enterFarm } from './enter-farm.ts';
import { createExecutor } from './execute-unit.ts';
import { FailureStreak } from './failure-streak.ts';
import { FARM_SEEN_FILE, FarmSeen } from './farm-seen.ts';
import { whyNotFitting } from './fits.ts';

import { forgetJoined, type Joined } from './joined.ts';
import { LearnedRoom } from './models/learned-room.ts';
import { SessionPool } from './models/session-pool.ts';
import { natsWay } from './nats-way.ts';
import { OutboxLog } from './outbox-log.ts';
import { heardTerms } from './owner/heard-terms.ts';
import { OwnerWatch } from './owner/owner-watch.ts';
import { useReader } from './owner/read-use.ts';
import { CapacityProbe } from './probe/capacity-probe.ts';
import { agentIdIn, machineFingerprint } from './probe/machine.ts';
import { MemoryLeft } from './process/memory-left.ts';
import { MemorySampler } from './process/memory-sampler.ts';
import { ProcessRecords } from './process/process-records.ts';
import { VramUse } from './process/vram-use.ts';
import { runnerRegistry } from './runners/registry.ts';
import { isolationOf, type UnitIsolation } from './sandbox/isolation.ts';
import { CHANNEL_OPTIONS, heartbeatMsOf, type Session } from './session.ts';
import { SESSION_START_FILE, sessionStart } from './session-start.ts';
import { stateFile } from './state-file.ts';
import { TAKES_LISTS } from './unit-inputs.ts';
import { VERSION } from '../kit/version.ts';
import { openUnitMemory, type UnitMemory } from './unit-memory.ts';
import { WorkPlane } from './work-plane.ts';

/** After the units are evicted: TERM, grace, KILL, and the writing of their results. */
const EVICTION_LIMIT_MS = 20_000;
/** Units are ended all the same when the coordinator does not answer for so long. */
const EVICTION_NOTICE_MS = 1_000;
/** How long a leaving agent waits for verdicts; what has none stays on disk for its next start. */
const REPORT_LIMIT_MS = 3_000;
/** For the last beat, which says that nothing is left here. */
const FAREWELL_LIMIT_MS = 1_000;
/** A GPU's illness is told before what it cost, or its whole machine would be blamed; not at any price. */
const ILLNESS_LIMIT_MS = 1_000;

interface CoreParts {
  readonly session: Session;
  readonly probe: CapacityProbe;
  readonly owner: OwnerWatch;
  readonly workPlane: WorkPlane;
  readonly blobs: Blobs;
  readonly storage: OutboxLog;
  readonly files: AttemptFiles;
  readonly models: SessionPool;
}

export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Logger;
  readonly #session: string;
  readonly #startedAtMs: number;
  readonly #identity: EnrolAgentRequest;
  readonly #records: ProcessRecords;
  readonly #seen: FarmSeen;
  readonly #vram = new VramUse();
  readonly #sampler = new MemorySampler(this.#vram);
  readonly #memory: UnitMemory;
  readonly #changes = new Changes();
  /** Undefined until it has enrolled. */
  #core: AgentCore | undefined;
  /** Tells what changed on this machine, once there is somebody to tell. */
  #lookAgain = (): void => undefined;
  /** Aborted by the first request to leave. */
  readonly #leave = new AbortController();
  #leaveAtOnce = false;

  constructor(config: AgentConfig, log: Logger) {
    this.#config = config;
    mkdirSync(config.stateDirectory, { recursive: true, mode: 0o700 });
    this.#session = randomBytes(8).toString('hex');
    this.#identity = {
      agentId: agentIdIn(config.stateDirectory, config.name),
      name: config.name,
      machineFingerprint: machineFingerprint(),
      version: VERSION,
    };
    this.#log = log.child({ agent: this.#identity.agentId });
    const { stateDirectory } = config;
    const startFile = stateFile(stateDirectory, SESSION_START_FILE);
    this.#startedAtMs = sessionStart(startFile, performance.timeOrigin, this.#log);
    this.#seen = new FarmSeen(stateFile(stateDirectory, FARM_SEEN_FILE), this.#log, () =>
      systemClock.monotonicMs(),
    );
    this.#records = new ProcessRecords(join(config.stateDirectory, 'processes'));
    const { memoryEnforcement } = config;
    const { agentId } = this.#identity;
    this.#memory = openUnitMemory(memoryEnforcement, agentId, this.#sampler, this.#log);
  }

  /** First: take nothing more, and leave when what runs is done. Again: hand it back now. */
  leave(): void {
    if (this.#leave.signal.aborted) this.#leaveAtOnce = true;
    this.#leave.abort(new FurrowError('aborted', 'LEAVING', 'the agent is leaving'));
    this.#changes.notify();
  }

  /**
   * Runs until it has left. FurrowError when the coordinator refuses the agent, or turns out to be
   * another farm's.
   */
  async run(): Promise<void> {
    const channel = new CoordinatorChannel(this.#config.farm, this.#config.trust, CHANNEL_OPTIONS);
    const client = new AgentServiceClient(
      this.#config.farm,
      channelCredentialsFor(this.#config.trust),
      {
        channelOverride: channel,
      },
    );
    let probing: Promise<CapacityProbe> | undefined;
    const over = new AbortController();
    try {
      await this.#endLeftovers();
      const isolation = await isolationOf(this.#config, this.#log);
      probing = this.#probe(isolation, over.signal);
      const entering = enterFarm(
        {
          config: this.#config,
          client,
          channel,
          identity: this.#identity,
          session: this.#session,
          startedAtMs: this.#startedAtMs,
          seen: () => this.#seen.place,
          log: this.#log,
        },
        this.#leave.signal,
      );
      const [{ session, enrolment, joined }, probe] = await Promise.all([entering, probing]);
      await this.#serve(session, enrolment, probe, { joined, isolation });
    } catch (error) {
      if (error instanceof FurrowError && error.reason === 'AGENT_REVOKED') {
        await forgetJoined(this.#config.stateDirectory);
      }
      // Asked to leave before it had joined: there is nothing to hand back.
      if (error !== this.#leave.signal.reason) throw error;
    } finally {
      // A tool that hangs would keep the agent.
      over.abort();
      channel.close();
      void probing?.then(
        (probe) => probe.stop(),
        () => undefined,
      );
    }
  }

  async #endLeftovers(): Promise<void> {
    const survivors = await this.#records.endLeftovers();
    for (const { pid } of survivors) {
      this.#log.error({ pid }, 'a process of an earlier run cannot be ended; restart the machine');
    }
    this.#memory.cgroups?.sweep();
  }

  #probe(isolation: UnitIsolation, signal: AbortSignal): Promise<CapacityProbe> {
    const { cpus, ram, maxUnits, maxWaiting, tag, pool, stateDirectory, tools } = this.#config;
    return CapacityProbe.start({
      limits: { cpuMillis: Math.floor(cpus * 1000), ramBytes: ram, maxUnits, maxWaiting },
      labels: [
        `agent:${this.#config.name}`,
        TAKES_LISTS,
        ...isolation.attributes,
        ...tag.map((name) => `tag:${name}`),
        ...pool.map((name) => `pool:${name}`),
      ],
      isolation: isolation.report,
      scratchDirectory: stateDirectory,
      residentBytes: () => this.#sampler.residentBytes(),
      use: {
        isOurs: (pid) => this.#sampler.isWatched(pid),
        noteVram: (uses) => this.#vram.note(uses),
        bookedVramBytes: () => this.#core?.bookedVramBytes() ?? new Map(),
        bookedEncoderSessions: () => this.#core?.bookedEncoderSessions() ?? 0,
      },
      tools,
      changed: () => this.#lookAgain(),
      signal,
      log: this.#log,
    });
  }

  /** Beside the units' directories, so that both can have the same pipes. */
  #openModels(probe: CapacityProbe, { sandbox }: UnitIsolation): SessionPool {
    const { stateDirectory } = this.#config;
    const memoryLeft = new MemoryLeft();
    return new SessionPool({
      host: { records: this.#records, sampler: this.#sampler, sandbox },
      memory: this.#memory.guard,
      memoryLeft: () => memoryLeft.read(),
      folder: join(stateDirectory, 'models'),
      learned: new LearnedRoom(stateFile(stateDirectory, 'models-learned.json')),
      proven: () => probe.current.attributes,
      log: this.#log,
    });
  }

  async #serve(
    session: Session,
    enrolment: EnrolAgentResponse,
    probe: CapacityProbe,
    { joined, isolation }: { readonly joined: Joined; readonly isolation: UnitIsolation },
  ): Promise<void> {
    const { farmId, natsUrls } = enrolment;
    const natsJwt = { now: enrolment.natsJwt };
    this.#log.info({ farmId, capacity: probe.current }, 'enrolled');
    this.#seen.note(enrolment.place);
    const workPlane = new WorkPlane({
      servers: natsUrls,
      ...natsWay(enrolment, joined, natsJwt),
      agentId: this.#identity.agentId,
      session: this.#session,
      seen: () => this.#seen.place,
      log: this.#log,
    });
    const blobs = await openBlobs({
      url: enrolment.blobUrl,
      token: joined.key,
      trust: this.#config.trust,
      stateDirectory: this.#config.stateDirectory,
      cacheBytes: this.#config.blobCacheBytes,
      log: this.#log,
    });
    const folder = join(this.#config.stateDirectory, 'farms', folderName(farmId));
    const storage = new OutboxLog(join(folder, 'outbox'), this.#log);
    const files = new AttemptFiles(join(folder, 'attempts'));
    const owner = this.#watchOwner({ session, probe, blobs }, () => core.gpusInUse);
    const models = this.#openModels(probe, isolation);
    const parts = { session, probe, owner, workPlane, blobs, storage, files, models };
    const core = await this.#openCore(enrolment, parts, isolation);
    this.#lookAgain = () => void this.#refresh(probe, session, core);
    const refresh = setInterval(() => this.#lookAgain(), heartbeatMsOf(enrolment));
    const end = new AbortController();
    owner.start({
      close: (reason) => {
        core.close(reason);
        void models.keep(false);
      },
      open: () => {
        core.open();
        void models.keep(true);
      },
      evict: async (reason) => {
        // What is handed back must not be offered here again.
        await session.beatNow(EVICTION_NOTICE_MS);
        if (owner.isClosed) core.evict(reason);
      },
    });
    workPlane.start({
      handleGrant: (grant) => core.handleGrant(grant),
      setWorkPlaneUp: (up) => core.setWorkPlaneUp(up),
      reignAnnounced: (reign) => {
        const isNews = reign.epoch > this.#seen.highestEpochOf(farmId);
        if (reign.farmId === farmId && isNews) session.moveTo(reign.grpcAddress);
      },
    });
    const beating = session.run(
      {
        nextBeat: () => core.nextBeat(),
        beatAnswered: (response) => {
          // First: what it may start depends on it.
          if (response.policy !== undefined) owner.heard(heardTerms(response.policy, this.#log));
          const taken = core.beatAnswered(response);
          if (taken.state === 'taken') this.#seen.note(response.place);
          if (taken.state === 'taken' && response.probeAgain === true) {
            probe.reprove('units fail here, the coordinator says');
          }
          return taken;
        },
        get workPlaneUp() {
          return core.workPlaneUp;
        },
        capacity: () => owner.offered(probe.current),
        natsRenewed: (jwt) => {
          natsJwt.now = jwt;
          workPlane.renewed();
        },
        enrolledAgain: (again) => {
          this.#seen.note(again.place);
          natsJwt.now = again.natsJwt;
          const { auth, trust } = natsWay(again, joined, natsJwt);
          workPlane.moveTo(again.natsUrls, auth, trust);
          blobs.moveTo(again.blobUrl);
        },
      },
      end.signal,
    );
    try {
      await Promise.race([beating, this.#untilLeft(core, session, models)]);
    } finally {
      owner.stop();
      // Also on an error: processes must not outlive the agent, and their results say so.
      core.evict('the agent is stopping');
      await this.#changes.until(() => core.quiet, EVICTION_LIMIT_MS);
      await models.stop();
      clearInterval(refresh);
      this.#lookAgain = () => undefined;
      core.stop();
      end.abort();
      await workPlane.stop();
      await beating.catch(() => undefined);
      await storage.close();
      this.#seen.write();
    }
  }

  #watchOwner(
    { session, probe, blobs }: Pick<CoreParts, 'session' | 'probe' | 'blobs'>,
    gpusInUse: () => ReadonlySet<string>,
  ): OwnerWatch {
    return new OwnerWatch({
      clock: systemClock,
      own: this.#config.own,
      readUse: useReader({
        isOurs: (group) => this.#sampler.watches(group),
        busiestGpuBut: (gpuIds) => probe.foreignGpuPercent(gpuIds),
        gpusInUse,
      }),
      changed: () => session.beatSoon(),
      limitTransfers: (bytesPerSecond) => blobs.limitRate(bytesPerSecond),
    });
  }

  async #openCore(
    enrolment: EnrolAgentResponse,
    { session, probe, owner, workPlane, blobs, storage, files, models }: CoreParts,
    { sandbox, rules }: UnitIsolation,
  ): Promise<AgentCore> {
    const { farmId } = enrolment;
    const streak = new FailureStreak();
    const core = new AgentCore({
      farmId,
      epochSeen: this.#seen.highestEpochOf(farmId),
      epochRose: (epoch) => this.#seen.noteEpoch(farmId, epoch),
      leaseTtlMs: enrolment.leaseTtlMs,
      clock: systemClock,
      random: Math.random,
      fits: (demand, beside, gpuIds) =>
        whyNotFitting(demand, beside, gpuIds, owner.offered(probe.current)),
      executor: createExecutor({
        clock: systemClock,
        blobs,
        files,
        processes: { records: this.#records, sampler: this.#sampler, sandbox },
        programs: rules,
        memory: this.#memory.guard,
        models,
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
        failurePatterns: this.#config.failurePatterns,
        log: this.#log,
      }),
      storage,
      channel: workPlane,
      changed: () => {
        session.beatSoon();
        this.#changes.notify();
      },
      complain: (message, token) => this.#log.error({ token }, message),
      concluded: (result, assignment) => {
        const why = streak.note(result, assignment);
        if (why !== null) probe.reprove(why);
      },
    });
    this.#core = core;
    const unreported = await core.restore();
    await files.sweep(unreported);
    return core;
  }

  async #refresh(probe: CapacityProbe, session: Session, core: AgentCore): Promise<void> {
    try {
      const isNews = await probe.refresh();
      const unusable = probe.unusableGpus;
      if (isNews && unusable.size > 0) await session.beatNow(ILLNESS_LIMIT_MS);
      else if (isNews) session.beatSoon();
      core.giveUpGpus(unusable);
    } catch (error) {
      this.#log.warn({ error }, 'cannot read what this machine has; the last figures stand');
    }
  }

  /** Settles when the agent was asked to leave and has left. */
  async #untilLeft(core: AgentCore, session: Session, models: SessionPool): Promise<void> {
    const { signal } = this.#leave;
    if (!signal.aborted) await once(signal, 'abort');
    this.#log.info({ unreported: core.unreported }, 'leaving');
    core.leave();
    void models.keep(false);
    const hurried = (): boolean => this.#leaveAtOnce;
    await this.#changes.until(() => core.quiet || hurried(), this.#config.drainGraceMs);
    core.evict('the agent left before the unit was done');
    await this.#changes.until(() => core.quiet, EVICTION_LIMIT_MS);
    await this.#changes.until(() => core.empty, REPORT_LIMIT_MS);
    await session.beatNow(FAREWELL_LIMIT_MS);
    this.#log.info({ unreported: core.unreported }, 'left');
  }
}

function folderName(farmId: string): string {
  if (!/^[\w-]{1,64}$/.test(farmId)) {
    throw new FurrowError('invalid', 'BAD_FARM_ID', `the farm's id ${farmId} cannot name a folder`);
  }
  return farmId;
}

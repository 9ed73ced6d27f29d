/**
 * One run of the agent: puts the parts together in the order that the lease rules ask for, and takes
 * them apart again without losing a result.
 */
import { credentials } from '@grpc/grpc-js';
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
import { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { AgentCore } from './agent-core.ts';
import { AttemptFiles } from './attempt-files.ts';
import { openBlobs, type Blobs } from './blobs.ts';
import { Changes } from './changes.ts';
import type { AgentConfig } from './config.ts';
import { createExecutor } from './execute-unit.ts';
import { whyNotFitting } from './fits.ts';
import { OutboxLog } from './outbox-log.ts';
import { CapacityProbe } from './probe/capacity-probe.ts';
import { agentIdIn, machineFingerprint } from './probe/machine.ts';
import { MemorySampler } from './process/memory-sampler.ts';
import { ProcessRecords } from './process/process-records.ts';
import { runnerRegistry } from './runners/registry.ts';
import { CHANNEL_OPTIONS, Session } from './session.ts';
import { VERSION } from '../kit/version.ts';
import { WorkPlane } from './work-plane.ts';

/** After the units are evicted: TERM, grace, KILL, and the writing of their results. */
const EVICTION_LIMIT_MS = 20_000;
/** How long a leaving agent waits for verdicts; what has none stays on disk for its next start. */
const REPORT_LIMIT_MS = 3_000;
/** For the last beat, which says that nothing is left here. */
const FAREWELL_LIMIT_MS = 1_000;

interface CoreParts {
  readonly session: Session;
  readonly probe: CapacityProbe;
  readonly workPlane: WorkPlane;
  readonly blobs: Blobs;
  readonly storage: OutboxLog;
  readonly files: AttemptFiles;
}

export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Logger;
  readonly #session: string;
  readonly #identity: EnrolAgentRequest;
  readonly #records: ProcessRecords;
  readonly #sampler = new MemorySampler();
  readonly #changes = new Changes();
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
    this.#records = new ProcessRecords(join(config.stateDirectory, 'processes'));
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
    const channel = new CoordinatorChannel(this.#config.farm, CHANNEL_OPTIONS);
    const client = new AgentServiceClient(this.#config.farm, credentials.createInsecure(), {
      channelOverride: channel,
    });
    try {
      await this.#endLeftovers();
      const session = new Session({
        client,
        channel,
        token: this.#config.token,
        identity: this.#identity,
        session: this.#session,
        random: Math.random,
        log: this.#log,
      });
      const [enrolment, probe] = await Promise.all([
        session.enrol(this.#leave.signal),
        this.#probe(),
      ]);
      await this.#serve(session, enrolment, probe);
    } catch (error) {
      // Asked to leave before it had joined: there is nothing to hand back.
      if (error !== this.#leave.signal.reason) throw error;
    } finally {
      channel.close();
    }
  }

  async #endLeftovers(): Promise<void> {
    const survivors = await this.#records.endLeftovers();
    for (const { pid } of survivors) {
      this.#log.error({ pid }, 'a process of an earlier run cannot be ended; restart the machine');
    }
  }

  #probe(): Promise<CapacityProbe> {
    const { cpus, ram, maxUnits, stateDirectory } = this.#config;
    return CapacityProbe.start({
      limits: { cpuMillis: Math.floor(cpus * 1000), ramBytes: ram, maxUnits },
      scratchDirectory: stateDirectory,
      residentBytes: () => this.#sampler.residentBytes(),
      isOurs: (pid) => this.#sampler.isWatched(pid),
    });
  }

  async #serve(
    session: Session,
    enrolment: EnrolAgentResponse,
    probe: CapacityProbe,
  ): Promise<void> {
    const { farmId, natsUrls, natsToken, heartbeatMs } = enrolment;
    this.#log.info({ farmId, capacity: probe.current }, 'enrolled');
    const workPlane = new WorkPlane({
      servers: natsUrls,
      token: natsToken,
      agentId: this.#identity.agentId,
      session: this.#session,
      log: this.#log,
    });
    const blobs = await openBlobs({
      url: enrolment.blobUrl,
      token: this.#config.token,
      stateDirectory: this.#config.stateDirectory,
      cacheBytes: this.#config.blobCacheBytes,
      log: this.#log,
    });
    const folder = join(this.#config.stateDirectory, 'farms', folderName(farmId));
    const storage = new OutboxLog(join(folder, 'outbox'), this.#log);
    const files = new AttemptFiles(join(folder, 'attempts'));
    const parts = { session, probe, workPlane, blobs, storage, files };
    const core = await this.#openCore(enrolment, parts);
    const refresh = setInterval(() => void this.#refresh(probe, session), heartbeatMs || 3_000);
    const end = new AbortController();
    workPlane.start(core);
    const beating = session.run(
      {
        nextBeat: () => core.nextBeat(),
        beatAnswered: (response) => core.beatAnswered(response),
        get workPlaneUp() {
          return core.workPlaneUp;
        },
        capacity: () => probe.current,
        enrolledAgain: ({ natsUrls: servers, natsToken: natsKey, blobUrl }) => {
          workPlane.moveTo(servers, natsKey);
          blobs.moveTo(blobUrl);
        },
      },
      end.signal,
    );
    try {
      await Promise.race([beating, this.#untilLeft(core, session)]);
    } finally {
      // Also on an error: processes must not outlive the agent, and their results say so.
      core.evict('the agent is stopping');
      await this.#changes.until(() => core.quiet, EVICTION_LIMIT_MS);
      clearInterval(refresh);
      core.stop();
      end.abort();
      await workPlane.stop();
      await beating.catch(() => undefined);
      await storage.close();
    }
  }

  async #openCore(
    enrolment: EnrolAgentResponse,
    { session, probe, workPlane, blobs, storage, files }: CoreParts,
  ): Promise<AgentCore> {
    const core = new AgentCore({
      farmId: enrolment.farmId,
      leaseTtlMs: enrolment.leaseTtlMs,
      clock: systemClock,
      random: Math.random,
      fits: (demand, beside, gpuIds) => whyNotFitting(demand, beside, gpuIds, probe.current),
      executor: createExecutor({
        clock: systemClock,
        blobs,
        files,
        processes: { records: this.#records, sampler: this.#sampler },
        runners: runnerRegistry,
        telemetry: workPlane,
        log: this.#log,
      }),
      storage,
      channel: workPlane,
      changed: () => {
        session.beatSoon();
        this.#changes.notify();
      },
      complain: (message, token) => this.#log.error({ token }, message),
    });
    const unreported = await core.restore();
    await files.sweep(unreported);
    return core;
  }

  async #refresh(probe: CapacityProbe, session: Session): Promise<void> {
    try {
      if (await probe.refresh()) session.beatSoon();
    } catch (error) {
      this.#log.warn({ error }, 'cannot read what this machine has; the last figures stand');
    }
  }

  /** Settles when the agent was asked to leave and has left. */
  async #untilLeft(core: AgentCore, session: Session): Promise<void> {
    const { signal } = this.#leave;
    if (!signal.aborted) await once(signal, 'abort');
    this.#log.info({ unreported: core.unreported }, 'leaving');
    core.leave();
    const hurried = (): boolean => this.#leaveAtOnce;
    await this.#changes.until(() => core.quiet || hurried(), this.#config.drainGraceMs);
    core.evict('the agent left before the unit was done');
    await this.#changes.until(() => core.quiet, EVICTION_LIMIT_MS);
    await this.#changes.until(() => core.empty, REPORT_LIMIT_MS);
    await session.farewell(FAREWELL_LIMIT_MS);
    this.#log.info({ unreported: core.unreported }, 'left');
  }
}

function folderName(farmId: string): string {
  if (!/^[\w-]{1,64}$/.test(farmId)) {
    throw new FurrowError('invalid', 'BAD_FARM_ID', `the farm's id ${farmId} cannot name a folder`);
  }
  return farmId;
}

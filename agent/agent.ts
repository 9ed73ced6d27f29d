/** One run of the agent: looks at its machine, enters its farm, serves it, and leaves when it is asked to. */
import { AgentServiceClient, type JournalPlace } from '../proto/gen/furrow/v1/agent_service.ts';
import { channelCredentialsFor } from '../kit/channel-trust.ts';
import { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { AgentState } from './agent-state.ts';
import type { AgentConfig } from './config.ts';
import { type Entered, enterFarm } from './enter-farm.ts';
import { FarmStay } from './farm-stay.ts';
import { forgetJoined } from './joined.ts';
import { CapacityProbe } from './probe/capacity-probe.ts';
import { isolationOf, type UnitIsolation } from './sandbox/isolation.ts';
import { CHANNEL_OPTIONS } from './session.ts';
import { TAKES_LISTS } from './unit-inputs.ts';

export class Agent {
  readonly #state: AgentState;
  /** Undefined until it has enrolled. */
  #stay: FarmStay | undefined;
  /** Aborted by the first request to leave. */
  readonly #leave = new AbortController();
  #leaveAtOnce = false;

  constructor(config: AgentConfig, log: Logger) {
    this.#state = new AgentState(config, log);
  }

  /** First: take nothing more, and leave when what runs is done. Again: hand it back now. */
  leave(): void {
    if (this.#leave.signal.aborted) this.#leaveAtOnce = true;
    this.#leave.abort(new FurrowError('aborted', 'LEAVING', 'the agent is leaving'));
    this.#state.changes.notify();
  }

  /**
   * Runs until it has left. FurrowError when the coordinator refuses the agent, or turns out to be
   * another farm's.
   */
  async run(): Promise<void> {
    const { config, log } = this.#state;
    const channel = new CoordinatorChannel(config.farm, config.trust, CHANNEL_OPTIONS);
    let probing: Promise<CapacityProbe> | undefined;
    const over = new AbortController();
    try {
      await this.#state.endLeftovers();
      const isolation = await isolationOf(config, log);
      probing = this.#probe(isolation, over.signal);
      const [entered, probe] = await Promise.all([this.#enter(channel), probing]);
      this.#stay = await FarmStay.open({ state: this.#state, ...entered, probe, isolation });
      const { signal } = this.#leave;
      await this.#stay.serve({ signal, isHurried: () => this.#leaveAtOnce });
    } catch (error) {
      if (error instanceof FurrowError && error.reason === 'AGENT_REVOKED') {
        await forgetJoined(config.stateDirectory);
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

  #enter(channel: CoordinatorChannel): Promise<Entered> {
    const { config, identity, session, startedAtMs, seen, log } = this.#state;
    const credentials = channelCredentialsFor(config.trust);
    const client = new AgentServiceClient(config.farm, credentials, { channelOverride: channel });
    const place = (): JournalPlace | undefined => seen.place;
    const who = { identity, session, startedAtMs, seen: place };
    return enterFarm({ config, client, channel, ...who, log }, this.#leave.signal);
  }

  #probe(isolation: UnitIsolation, signal: AbortSignal): Promise<CapacityProbe> {
    const { config, sampler, vram, log } = this.#state;
    const { cpus, ram, maxUnits, maxWaiting, tag, pool, stateDirectory, tools } = config;
    return CapacityProbe.start({
      limits: { cpuMillis: Math.floor(cpus * 1000), ramBytes: ram, maxUnits, maxWaiting },
      labels: [
        `agent:${config.name}`,
        TAKES_LISTS,
        ...isolation.attributes,
        ...tag.map((name) => `tag:${name}`),
        ...pool.map((name) => `pool:${name}`),
      ],
      isolation: isolation.report,
      scratchDirectory: stateDirectory,
      residentBytes: () => sampler.residentBytes(),
      use: {
        isOurs: (pid) => sampler.isWatched(pid),
        noteVram: (uses) => vram.note(uses),
        bookedVramBytes: () => this.#stay?.bookedVramBytes() ?? new Map(),
        bookedEncoderSessions: () => this.#stay?.bookedEncoderSessions() ?? 0,
      },
      tools,
      changed: () => this.#stay?.lookAgain(),
      signal,
      log,
    });
  }
}

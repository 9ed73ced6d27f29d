/**
 * An agent's stay in its farm, from enrolment until it has left: puts the parts together in the order that the
 * lease rules ask for, and takes them apart again without losing a result.
 */
import { once } from 'node:events';
import type { AdvertiseResponse } from '../proto/gen/furrow/v1/agent_service.ts';
import type { AnswerTaken } from './lease-keeper.ts';
import { natsWay } from './nats-way.ts';
import { ILLNESS_LIMIT_MS, openStay, type StayOptions, type StayParts } from './open-stay.ts';
import { heardTerms } from './owner/heard-terms.ts';
import type { UnitsAtHand } from './owner/owner-watch.ts';
import { heartbeatMsOf, type SessionPorts } from './session.ts';
import type { WorkPlanePorts } from './work-plane.ts';

/** After the units are evicted: TERM, grace, KILL, and the writing of their results. */
const EVICTION_LIMIT_MS = 20_000;
/** Units are ended all the same when the coordinator does not answer for so long. */
const EVICTION_NOTICE_MS = 1_000;
/** How long a leaving agent waits for verdicts; what has none stays on disk for its next start. */
const REPORT_LIMIT_MS = 3_000;
/** For the last beat, which says that nothing is left here. */
const FAREWELL_LIMIT_MS = 1_000;

/** Aborted by the first request to leave; hurried by the second. */
export interface Leaving {
  readonly signal: AbortSignal;
  readonly isHurried: () => boolean;
}

export class FarmStay {
  readonly #options: StayOptions;
  readonly #parts: StayParts;
  #isOver = false;

  private constructor(options: StayOptions, parts: StayParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** FurrowError: as what it opens. */
  static async open(options: StayOptions): Promise<FarmStay> {
    return new FarmStay(options, await openStay(options));
  }

  bookedVramBytes(): ReadonlyMap<string, number> {
    return this.#parts.core.bookedVramBytes();
  }

  bookedEncoderSessions(): number {
    return this.#parts.core.bookedEncoderSessions();
  }

  /** Tells what changed on this machine. */
  lookAgain(): void {
    if (!this.#isOver) void this.#refresh();
  }

  /** Until it has left. FurrowError when the coordinator refuses the agent, or turns out to be another farm's. */
  async serve(leaving: Leaving): Promise<void> {
    const { session, enrolment } = this.#options;
    const { owner, workPlane } = this.#parts;
    const refresh = setInterval(() => this.lookAgain(), heartbeatMsOf(enrolment));
    const end = new AbortController();
    owner.start(this.#ownerOrders());
    workPlane.start(this.#workPlanePorts());
    const beating = session.run(this.#sessionPorts(), end.signal);
    try {
      await Promise.race([beating, this.#untilLeft(leaving)]);
    } finally {
      await this.#endUnits();
      clearInterval(refresh);
      this.#isOver = true;
      this.#parts.core.stop();
      end.abort();
      await workPlane.stop();
      await beating.catch(() => undefined);
      await this.#parts.storage.close();
      this.#options.state.seen.write();
    }
  }

  /** Also on an error: processes must not outlive the agent, and their results say so. */
  async #endUnits(): Promise<void> {
    const { owner, core, models } = this.#parts;
    owner.stop();
    core.evict('the agent is stopping');
    await this.#options.state.changes.until(() => core.quiet, EVICTION_LIMIT_MS);
    await models.stop();
  }

  #ownerOrders(): UnitsAtHand {
    const { session } = this.#options;
    const { core, models, owner } = this.#parts;
    return {
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
    };
  }

  #workPlanePorts(): WorkPlanePorts {
    const { session, enrolment, state } = this.#options;
    const { core } = this.#parts;
    const { farmId } = enrolment;
    return {
      handleGrant: (grant) => core.handleGrant(grant),
      setWorkPlaneUp: (up) => core.setWorkPlaneUp(up),
      reignAnnounced: (reign) => {
        const isNews = reign.epoch > state.seen.highestEpochOf(farmId);
        if (reign.farmId === farmId && isNews) session.moveTo(reign.grpcAddress);
      },
    };
  }

  #sessionPorts(): SessionPorts {
    const { probe, joined, state } = this.#options;
    const { core, owner, workPlane, blobs, natsJwt } = this.#parts;
    return {
      nextBeat: () => core.nextBeat(),
      beatAnswered: (response) => this.#beatAnswered(response),
      get workPlaneUp() {
        return core.workPlaneUp;
      },
      capacity: () => owner.offered(probe.current),
      natsRenewed: (jwt) => {
        natsJwt.now = jwt;
        workPlane.renewed();
      },
      enrolledAgain: (again) => {
        state.seen.note(again.place);
        natsJwt.now = again.natsJwt;
        const { auth, trust } = natsWay(again, joined, natsJwt);
        workPlane.moveTo(again.natsUrls, auth, trust);
        blobs.moveTo(again.blobUrl);
      },
    };
  }

  #beatAnswered(response: AdvertiseResponse): AnswerTaken {
    const { probe, state } = this.#options;
    const { core, owner } = this.#parts;
    // First: what it may start depends on it.
    if (response.policy !== undefined) owner.heard(heardTerms(response.policy, state.log));
    const taken = core.beatAnswered(response);
    if (taken.state === 'taken') state.seen.note(response.place);
    if (taken.state === 'taken' && response.probeAgain === true) {
      probe.reprove('units fail here, the coordinator says');
    }
    return taken;
  }

  async #refresh(): Promise<void> {
    const { probe, session, state } = this.#options;
    try {
      const isNews = await probe.refresh();
      const unusable = probe.unusableGpus;
      if (isNews && unusable.size > 0) await session.beatNow(ILLNESS_LIMIT_MS);
      else if (isNews) session.beatSoon();
      this.#parts.core.giveUpGpus(unusable);
    } catch (error) {
      state.log.warn({ error }, 'cannot read what this machine has; the last figures stand');
    }
  }

  /** Settles when the agent was asked to leave and has left. */
  async #untilLeft({ signal, isHurried }: Leaving): Promise<void> {
    const { session, state } = this.#options;
    const { core, models } = this.#parts;
    const { changes, config, log } = state;
    if (!signal.aborted) await once(signal, 'abort');
    log.info({ unreported: core.unreported }, 'leaving');
    core.leave();
    void models.keep(false);
    await changes.until(() => core.quiet || isHurried(), config.drainGraceMs);
    core.evict('the agent left before the unit was done');
    await changes.until(() => core.quiet, EVICTION_LIMIT_MS);
    await changes.until(() => core.empty, REPORT_LIMIT_MS);
    await session.beatNow(FAREWELL_LIMIT_MS);
    log.info({ unreported: core.unreported }, 'left');
  }
}

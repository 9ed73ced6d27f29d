/**
 * Keeps the agent to its owner's will. There are two policies: what was set at the machine, and what the
 * farm says; the stricter of both holds, so that nobody who has the farm's token can take more of a machine
 * than its owner gives. Looks every few seconds and at once when a policy changes.
 */
import type { Capacity } from '../../proto/gen/furrow/v1/agent_service.ts';
import { OPEN_TERMS, type PolicyTerms } from '../../proto/agent-policy.ts';
import type { Clock } from '../../kit/clock.ts';
import { type Closing, closingOf, strictestOf } from './closing.ts';
import { type Caps, capsOf, offerOf } from './offer.ts';
import { type UseReading, UseWatch } from './use-watch.ts';

export interface OwnerWatchPorts {
  readonly clock: Clock;
  /** What was set at this machine. */
  readonly own: PolicyTerms;
  /** Asked only while a policy depends on it. Never rejects. */
  readonly readUse: () => Promise<UseReading>;
  /** The offer changed. */
  readonly changed: () => void;
  /** A new limit for transfers, in bytes a second; 0 for none. */
  readonly limitTransfers: (bytesPerSecond: number) => void;
}

/** What has to be done with units when the machine closes and opens. */
export interface UnitsAtHand {
  /** Takes nothing, and hands back what has not begun. */
  close(reason: string): void;
  open(): void;
  /** Ends what runs, as soon as the farm knows that it is closed. Never rejects. */
  evict(reason: string): Promise<void>;
}

const LOOK_MS = 5_000;

interface Closed {
  readonly closing: Closing;
  /** Since when its units are to end within the grace; undefined while they may finish. */
  readonly evictingSinceMs: number | undefined;
  /** They were told. */
  readonly evicted: boolean;
}

export class OwnerWatch {
  readonly #ports: OwnerWatchPorts;
  #use = unread();
  #farm: PolicyTerms = OPEN_TERMS;
  #caps: Caps;
  #closed: Closed | undefined;
  #units: UnitsAtHand | undefined;
  #cancelLook: () => void = () => undefined;
  #isReading = false;
  #offer: { readonly of: Capacity; readonly as: Capacity } | undefined;

  constructor(ports: OwnerWatchPorts) {
    this.#ports = ports;
    this.#caps = capsOf([ports.own, this.#farm]);
    ports.limitTransfers(this.#caps.bytesPerSecond);
    this.#judge();
  }

  /** From now on it closes and opens, until `stop`. */
  start(units: UnitsAtHand): void {
    this.#units = units;
    if (this.#closed !== undefined) units.close(this.#closed.closing.reason);
    void this.#look();
  }

  stop(): void {
    this.#units = undefined;
    this.#cancelLook();
  }

  /** The farm says when this agent works. */
  heard(terms: PolicyTerms): void {
    this.#farm = terms;
    this.#caps = capsOf([this.#ports.own, terms]);
    this.#ports.limitTransfers(this.#caps.bytesPerSecond);
    this.#offer = undefined;
    this.#judge();
    this.#ports.changed();
    if (this.#units !== undefined) void this.#look();
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /** The part of the capacity that the farm may have now; the same object while nothing changed. */
  offered(capacity: Capacity): Capacity {
    if (this.#offer?.of !== capacity) {
      const as = offerOf(capacity, this.#caps, this.#closed?.closing.reason);
      this.#offer = { of: capacity, as };
    }
    return this.#offer.as;
  }

  async #look(): Promise<void> {
    this.#cancelLook();
    if (this.#isReading) return;
    if (this.#ports.own.mode === 'idle' || this.#farm.mode === 'idle') {
      this.#isReading = true;
      const reading = await this.#ports.readUse();
      this.#isReading = false;
      const nowMs = this.#ports.clock.monotonicMs();
      this.#use.own.observe(reading, this.#ports.own, nowMs);
      this.#use.farm.observe(reading, this.#farm, nowMs);
    } else {
      // Nobody looks: what was read says nothing of the day on which a policy asks again.
      this.#use = unread();
    }
    if (this.#units === undefined) return;
    this.#judge();
    this.#cancelLook = this.#ports.clock.after(this.#nextLookInMs(), () => void this.#look());
  }

  #judge(): void {
    const { clock, own } = this.#ports;
    const nowMs = clock.monotonicMs();
    const wallMs = clock.wallMs();
    const closing = strictestOf([
      closingOf(own, this.#use.own.use(own), wallMs),
      closingOf(this.#farm, this.#use.farm.use(this.#farm), wallMs),
    ]);
    const before = this.#closed;
    this.#closed = closing && closedFor(closing, before, nowMs);
    if (before?.closing.reason !== closing?.reason) {
      this.#offer = undefined;
      if (closing === undefined) this.#units?.open();
      else this.#units?.close(closing.reason);
      this.#ports.changed();
    }
    this.#evictIfDue(nowMs);
  }

  #evictIfDue(nowMs: number): void {
    const closed = this.#closed;
    if (closed === undefined || this.#units === undefined) return;
    const dueMs = evictionDueMs(closed);
    if (dueMs === undefined || nowMs < dueMs) return;
    this.#closed = { ...closed, evicted: true };
    void this.#units.evict(closed.closing.reason);
  }

  #nextLookInMs(): number {
    const dueMs = this.#closed && evictionDueMs(this.#closed);
    if (dueMs === undefined) return LOOK_MS;
    return Math.max(1, Math.min(LOOK_MS, dueMs - this.#ports.clock.monotonicMs()));
  }
}

function unread(): { readonly own: UseWatch; readonly farm: UseWatch } {
  return { own: new UseWatch(), farm: new UseWatch() };
}

function closedFor(closing: Closing, before: Closed | undefined, nowMs: number): Closed {
  const isEvicting = closing.onBusy === 'evict';
  return {
    closing,
    evictingSinceMs: isEvicting ? (before?.evictingSinceMs ?? nowMs) : undefined,
    evicted: before?.evicted ?? false,
  };
}

/** When its units must be told to end; undefined when they need not, or were. */
function evictionDueMs({ closing, evictingSinceMs, evicted }: Closed): number | undefined {
  if (evictingSinceMs === undefined || evicted) return undefined;
  return evictingSinceMs + closing.graceMs;
}

/**
 * What is known of a run from outside: what clients and agents saw, what units wrote down themselves,
 * what the public API says at the end, and the raw journal. The judge reads this and nothing else.
 */
import type { Commit } from '../../proto/gen/furrow/journal/v1/journal.ts';

/** What a client meant a job to be. */
export interface JobPlan {
  readonly kind: 'small' | 'kept' | 'idle' | 'fan-out' | 'slow' | 'film';
  /** Units of each step; undefined where only the work itself shows it. */
  readonly steps: Readonly<Record<string, number | undefined>>;
  /** Units of these steps append to the ledger. */
  readonly inLedger: readonly string[];
  /** Name of the source, for films. */
  readonly source?: string;
}

/** One line of a client's own record. */
export type ClientNote =
  /** Before the first try. */
  | {
      readonly note: 'asks';
      readonly clientId: string;
      readonly plan: JobPlan;
      readonly atMs: number;
    }
  /** An answer came, at the first try or a later one; repeats of old submits too. */
  | {
      readonly note: 'acknowledged';
      readonly clientId: string;
      readonly jobId: string;
      readonly atMs: number;
    }
  /** The answer said that the job is cancelled. */
  | { readonly note: 'cancelled'; readonly jobId: string; readonly atMs: number }
  /** A watch told of the job's end. */
  | {
      readonly note: 'ended';
      readonly jobId: string;
      readonly state: string;
      readonly atMs: number;
    }
  /** A watch told of accepted results: unit ids. */
  | { readonly note: 'accepted'; readonly units: readonly string[] }
  /** A failed job was tried again, and that was acknowledged. */
  | { readonly note: 'retried'; readonly jobId: string; readonly atMs: number }
  /** An answer that no fault excuses. */
  | { readonly note: 'wrong'; readonly message: string; readonly atMs: number };

/** A verdict as an agent received it. */
export interface VerdictSeen {
  readonly agent: string;
  /** `<epoch>.<counter>` */
  readonly token: string;
  readonly verdict: 'accepted' | 'stale';
}

/** A line that a unit wrote about itself. */
export interface LedgerLine {
  readonly what: 'begin' | 'end';
  /** Such as `j1/small/3`. */
  readonly unitId: string;
  readonly attempt: number;
  readonly token: string;
  readonly atMs: number;
}

export interface JournalMessage {
  readonly sequence: number;
  /** SHA-256 of the message, lower-case hexadecimal. */
  readonly hash: string;
  readonly commit: Commit;
}

/** A job as the API tells it when all is over. */
export interface JobAtEnd {
  readonly jobId: string;
  readonly clientId: string;
  /** Such as `succeeded`. */
  readonly state: string;
  readonly reason: string;
  readonly steps: readonly StepAtEnd[];
}

export interface StepAtEnd {
  readonly name: string;
  readonly total: number;
  readonly accepted: number;
  /** Units listed, each as `index:state`. */
  readonly units: readonly string[];
}

/** Fetched when all was over. */
export interface OutputFetched {
  readonly jobId: string;
  readonly name: string;
  /** SHA-256 of the content; undefined when it could not be fetched. */
  readonly sha256: string | undefined;
  readonly expected: string | undefined;
}

export interface FilmFetched {
  readonly jobId: string;
  readonly source: string;
  readonly sourceFrames: number;
  readonly frames: number;
  /** Every frame shows the number that it should. */
  readonly inOrder: boolean;
}

export interface FaultSeen {
  readonly kind: string;
  readonly victim: string;
  readonly fromMs: number;
  readonly toMs: number;
}

/** By the coordinators' own account. */
export interface CoordinatorStarts {
  readonly fromSnapshot: number;
  readonly fromBeginning: number;
  /** Standbys whose next commits had been cut from the journal: they began again. */
  readonly cutOff: number;
}

export interface Evidence {
  readonly clients: readonly ClientNote[];
  readonly verdicts: readonly VerdictSeen[];
  readonly ledger: readonly LedgerLine[];
  readonly journal: readonly JournalMessage[];
  /** What was wrong while the journal was followed: gaps, other bytes at a sequence seen before. */
  readonly journalFaults: readonly string[];
  readonly jobs: readonly JobAtEnd[];
  readonly outputs: readonly OutputFetched[];
  readonly films: readonly FilmFetched[];
  readonly faults: readonly FaultSeen[];
  readonly starts: CoordinatorStarts;
  /** What is left of agents and processes when all is over, one line each. */
  readonly leftovers: readonly string[];
  /** Processes that ended although nobody ended them, and should not have. */
  readonly crashes: readonly string[];
  /** What the standby tells otherwise than the leader when it has read everything. */
  readonly disagreements: readonly string[];
  /** Jobs that had not ended within the bound. */
  readonly unfinished: readonly string[];
}

/** What can be asked of the farm, and what it answers. */
import type { EndKind } from './facts.ts';
import type { File, StepSpec } from './task.ts';
import type { Token } from './token.ts';

export interface SubmitJob {
  readonly type: 'SubmitJob';
  readonly clientId: string;
  readonly requestHash: string;
  readonly name: string;
  readonly priority: number;
  readonly recipe: string;
  readonly steps: readonly StepSpec[];
  /** Input blobs that the store does not have; the others are pinned. */
  readonly missingBlobs: readonly string[];
}

export interface SteerJob {
  readonly type: 'CancelJob' | 'RetryJob' | 'PauseJob' | 'ResumeJob';
  readonly job: number;
  /** Shown with a cancelled job. */
  readonly reason: string;
  /** Blobs that a retried job still needs and the store does not have; the others are pinned. */
  readonly missingBlobs?: readonly string[];
}

export interface EnrolAgent {
  readonly type: 'EnrolAgent';
  readonly agentId: string;
  readonly name: string;
  readonly version: string;
  readonly machineFingerprint: string;
}

export interface DrainAgent {
  readonly type: 'DrainAgent';
  /** Id or name. */
  readonly agent: string;
  readonly draining: boolean;
}

/** A beat was taken note of: what its inventory means for leases is to be decided. */
export interface ReviewAgent {
  readonly type: 'ReviewAgent';
  readonly agentId: string;
}

export interface StreamClosed {
  readonly type: 'StreamClosed';
  readonly agentId: string;
  readonly session: string;
}

export interface GrantAnswered {
  readonly type: 'GrantAnswered';
  readonly agentId: string;
  readonly session: string;
  readonly grantNumber: number;
  readonly answer:
    | { readonly state: 'answered'; readonly refused: readonly GrantRefusal[] }
    /** Nobody listens on that subject: a refusal of all. */
    | { readonly state: 'no-responders' }
    /** No answer in time: unknown, not free. */
    | { readonly state: 'unknown' };
}

export interface GrantRefusal {
  readonly token: Token;
  readonly reason: string;
}

export type ReportedOutcome =
  | { readonly state: 'succeeded'; readonly outputs: readonly File[] }
  | { readonly state: 'failed'; readonly kind: EndKind; readonly message: string };

export interface ReportedResult {
  readonly token: Token;
  readonly job: number;
  /** The step's name. */
  readonly step: string;
  readonly unit: number;
  readonly outcome: ReportedOutcome;
  /** Outputs that the store does not have; the others are pinned. */
  readonly missingBlobs: readonly string[];
}

export interface ReportResults {
  readonly type: 'ReportResults';
  readonly agentId: string;
  readonly session: string;
  readonly results: readonly ReportedResult[];
}

/** Time passed: expiry and stall are looked at. */
export interface Tick {
  readonly type: 'Tick';
}

/** A snapshot is stored whole. */
export interface SnapshotStored {
  readonly type: 'SnapshotStored';
  readonly sequence: number;
  readonly hash: string;
  readonly sizeBytes: number;
}

export type Command =
  | SubmitJob
  | SteerJob
  | EnrolAgent
  | DrainAgent
  | ReviewAgent
  | StreamClosed
  | GrantAnswered
  | ReportResults
  | Tick
  | SnapshotStored;

export type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'noted' }
  | { readonly kind: 'stale' }
  | { readonly kind: 'blob-missing'; readonly missing: readonly string[] }
  /** No answer: the agent keeps the result. */
  | { readonly kind: 'none' };

export type RefusalCode =
  | 'invalid'
  | 'not-found'
  | 'conflict'
  | 'failed-precondition'
  | 'unavailable';

export type Answer =
  | {
      readonly kind: 'job';
      readonly job: number;
      readonly repeated: boolean;
      readonly units: number;
    }
  | { readonly kind: 'verdicts'; readonly verdicts: readonly Verdict[] }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'refused';
      readonly code: RefusalCode;
      /** Stable, upper snake case. */
      readonly reason: string;
      readonly message: string;
    };

/**
 * When an answer may be said.
 * - `decided`: after everything decided so far is committed.
 * - `fresh`: after a commit, empty if need be, that began after the question came. For refusals that
 *   destroy work: only a leader may say them.
 */
export type Barrier = 'decided' | 'fresh';

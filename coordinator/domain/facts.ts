/**
 * What can happen to a farm. The journal holds nothing else, and the farm is their fold. Facts say
 * what was decided, not what was asked; replaying them needs no clock and no chance.
 */
import type { File, StepSpec } from './task.ts';
import type { Token } from './token.ts';

export interface FarmCreated {
  readonly type: 'FarmCreated';
  readonly farmId: string;
  readonly atMs: number;
}

export interface EpochStarted {
  readonly type: 'EpochStarted';
  readonly epoch: number;
  readonly atMs: number;
}

export interface JobSubmitted {
  readonly type: 'JobSubmitted';
  /** n of the id `j<n>`. */
  readonly job: number;
  readonly clientId: string;
  /** Tells a repeat of a submit from a reuse of its client id. */
  readonly requestHash: string;
  readonly name: string;
  readonly priority: number;
  readonly recipe: string;
  readonly steps: readonly StepSpec[];
  readonly atMs: number;
}

/** A fan-out learned its number of units; which files they get follows from the producer's outputs. */
export interface UnitsCreated {
  readonly type: 'UnitsCreated';
  readonly job: number;
  readonly step: number;
  readonly count: number;
}

/** Entry i of `units` has the token `firstToken + i`. */
export interface LeasesGranted {
  readonly type: 'LeasesGranted';
  readonly agentId: string;
  readonly session: string;
  readonly grantNumber: number;
  readonly job: number;
  readonly step: number;
  readonly firstToken: Token;
  readonly units: readonly number[];
  /** From 1, for each unit. */
  readonly attempts: readonly number[];
  readonly gpuIds: readonly string[];
  readonly atMs: number;
}

export interface UnitOutputs {
  readonly unit: number;
  readonly files: readonly File[];
}

/** Columns: `units[i]` was accepted with `tokens[i]`; `outputs` names only units that left files. */
export interface ResultsAccepted {
  readonly type: 'ResultsAccepted';
  readonly job: number;
  readonly step: number;
  readonly units: readonly number[];
  readonly tokens: readonly Token[];
  readonly attempts: readonly number[];
  readonly outputs: readonly UnitOutputs[];
  readonly agentId: string;
  readonly atMs: number;
}

/** Why a lease ended without an accepted result. */
export type EndKind =
  | 'failed'
  | 'invalid-input'
  | 'out-of-memory'
  | 'out-of-vram'
  | 'timed-out'
  | 'stalled'
  | 'bad-output'
  | 'lost'
  | 'evicted'
  | 'infrastructure'
  /** Granted, never seen on its agent. */
  | 'expired'
  | 'refused'
  | 'cancelled';

/** What becomes of the unit whose lease ended. */
export type NextForUnit =
  | { readonly kind: 'queued'; readonly notBeforeMs: number }
  | { readonly kind: 'failed' }
  /** The unit is closed already. */
  | { readonly kind: 'nothing' };

export interface LeaseEnded {
  readonly type: 'LeaseEnded';
  readonly token: Token;
  readonly job: number;
  readonly step: number;
  readonly unit: number;
  readonly attempt: number;
  readonly agentId: string;
  readonly kind: EndKind;
  readonly message: string;
  readonly next: NextForUnit;
  /** Counts against the unit's attempts. */
  readonly counts: boolean;
  /** Counts as a lost agent. */
  readonly lost: boolean;
  /** The unit goes before all others of its step. */
  readonly front: boolean;
  readonly atMs: number;
}

/** An agent came back with a lease that had expired but was not granted anew: it goes on. */
export interface LeaseResumed {
  readonly type: 'LeaseResumed';
  readonly token: Token;
  readonly job: number;
  readonly step: number;
  readonly unit: number;
  readonly agentId: string;
  readonly session: string;
  readonly gpuIds: readonly string[];
  readonly atMs: number;
}

/** Failed and cancelled units were queued again, with fresh counters. */
export interface UnitsRequeued {
  readonly type: 'UnitsRequeued';
  readonly job: number;
  readonly atMs: number;
}

export interface JobCancelled {
  readonly type: 'JobCancelled';
  readonly job: number;
  readonly reason: string;
  readonly atMs: number;
}

export interface JobPaused {
  readonly type: 'JobPaused';
  readonly job: number;
  readonly atMs: number;
}

export interface JobResumed {
  readonly type: 'JobResumed';
  readonly job: number;
  readonly atMs: number;
}

export interface JobEnded {
  readonly type: 'JobEnded';
  readonly job: number;
  readonly succeeded: boolean;
  readonly reason: string;
  readonly atMs: number;
}

export interface AgentEnrolled {
  readonly type: 'AgentEnrolled';
  readonly agentId: string;
  readonly name: string;
  readonly version: string;
  readonly atMs: number;
}

export interface AgentDrainChanged {
  readonly type: 'AgentDrainChanged';
  readonly agentId: string;
  readonly draining: boolean;
  readonly atMs: number;
}

/** A snapshot is stored whole and may be started from. */
export interface SnapshotTaken {
  readonly type: 'SnapshotTaken';
  /** Sequence of the last commit that it holds. */
  readonly sequence: number;
  /** SHA-256 of its bytes, lower-case hexadecimal. */
  readonly hash: string;
  readonly sizeBytes: number;
}

export type Fact =
  | FarmCreated
  | EpochStarted
  | JobSubmitted
  | UnitsCreated
  | LeasesGranted
  | ResultsAccepted
  | LeaseEnded
  | LeaseResumed
  | UnitsRequeued
  | JobCancelled
  | JobPaused
  | JobResumed
  | JobEnded
  | AgentEnrolled
  | AgentDrainChanged
  | SnapshotTaken;

/**
 * What can happen to a farm. The journal holds nothing else, and the farm is their fold. Facts say
 * what was decided, not what was asked; replaying them needs no clock and no chance.
 */
import type { Role } from './credentials.ts';
import type { AgentPolicy } from './agent-policy.ts';
import type { StoredSegment } from './archive.ts';
import type { LearnedSize } from './learned-sizes.ts';
import type { ModelMemory } from './model-memory.ts';
import type { ModelManifest } from './model.ts';
import type { Growth } from './size.ts';
import type { FailureRule, File, StepSpec } from './task.ts';
import type { Token } from './token.ts';

export interface FarmCreated {
  readonly type: 'FarmCreated';
  readonly farmId: string;
  readonly atMs: number;
}

export interface EpochStarted {
  readonly type: 'EpochStarted';
  readonly epoch: number;
  /** Random, lower-case hexadecimal: no two reigns share it. */
  readonly reignId: string;
  /** Of the commit that this stands in. */
  readonly sequence: number;
  /** What the store lacks is given up: no token of an earlier epoch counts any more. */
  readonly acceptsLoss: boolean;
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
  /** Absent: the first failed unit ends the job. */
  readonly failures?: FailureRule | undefined;
  /** On whose account; undefined for nobody's. */
  readonly owner?: string | undefined;
  /** Most units that agents hold at once; undefined for no limit. */
  readonly maxUnits?: number | undefined;
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
  /** The version that the step's units are done with from now on; undefined where that is said already. */
  readonly pin?: string | undefined;
  /** They wait behind running ones of their class and GPUs on that agent, and book nothing. */
  readonly waiting: boolean;
  /** The units are leased already: each gets a second lease beside its first. */
  readonly copy: boolean;
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
  /** Asked back before it began. */
  | 'retracted'
  /** Ended by order: the unit's other copy was first. */
  | 'cancelled';

/** What becomes of the unit whose lease ended. */
export type NextForUnit =
  | { readonly kind: 'queued'; readonly notBeforeMs: number }
  | { readonly kind: 'failed' }
  /** The unit's other copy goes on, or it is closed already. */
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
  /** The unit is given more from now on. */
  readonly grow?: Growth | undefined;
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
  /** It had not begun. */
  readonly waiting: boolean;
  readonly atMs: number;
}

/** An attempt left something to go on from; it takes the place of what was left before. */
export interface CheckpointSaved {
  readonly type: 'CheckpointSaved';
  readonly token: Token;
  readonly job: number;
  readonly step: number;
  readonly unit: number;
  /** Of the checkpoint directory. */
  readonly files: readonly File[];
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

export interface AgentPolicySet {
  readonly type: 'AgentPolicySet';
  readonly agentId: string;
  /** Undefined: it has none any more. */
  readonly policy: AgentPolicy | undefined;
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

/** Ended jobs left the farm's memory: they lie in a segment of the archive, which is stored whole. */
export interface JobsArchived {
  readonly type: 'JobsArchived';
  readonly segment: StoredSegment;
  readonly atMs: number;
}

/** An ended job, archived or not, was removed for good. */
export interface JobRemoved {
  readonly type: 'JobRemoved';
  readonly job: number;
  readonly atMs: number;
}

/** What units of these kinds of work, and models, take was learned; it replaces what was known of them. */
export interface SizesLearned {
  readonly type: 'SizesLearned';
  readonly sizes: readonly LearnedSize[];
  readonly models: readonly ModelMemory[];
  readonly atMs: number;
}

/** It was said how many of a ticket there are; with 0 it is forgotten. */
export interface TicketsSet {
  readonly type: 'TicketsSet';
  readonly name: string;
  readonly limit: number;
  readonly atMs: number;
}

/** An owner's share was set. */
export interface OwnerSet {
  readonly type: 'OwnerSet';
  readonly name: string;
  readonly weight: number;
  /** 0 for no limit. */
  readonly maxUnits: number;
  readonly atMs: number;
}

/** It was said what an owner may have waiting and stored. */
export interface QuotaSet {
  readonly type: 'QuotaSet';
  readonly name: string;
  /** 0 for no limit. */
  readonly maxQueued: number;
  /** 0 for no limit. */
  readonly maxStoredBytes: number;
  readonly atMs: number;
}

/** A person made a token. Only the hash of its secret is known. */
export interface TokenCreated {
  readonly type: 'TokenCreated';
  readonly id: string;
  readonly role: Role;
  /** Empty for everybody's. */
  readonly owner: string;
  readonly label: string;
  /** SHA-256, lower-case hexadecimal. */
  readonly secretHash: string;
  /** Unix time; 0 for never. */
  readonly expiresAtMs: number;
  readonly atMs: number;
}

export interface TokenRevoked {
  readonly type: 'TokenRevoked';
  readonly id: string;
  readonly atMs: number;
}

/** Tokens were used; written down now and then. */
export interface TokensUsed {
  readonly type: 'TokensUsed';
  readonly uses: readonly { readonly id: string; readonly atMs: number }[];
}

/** An agent got a key of its own, in place of any that it had. */
export interface AgentJoined {
  readonly type: 'AgentJoined';
  readonly agentId: string;
  /** SHA-256, lower-case hexadecimal. */
  readonly secretHash: string;
  /** Public key (nkey) that it shows to NATS; empty for none. */
  readonly natsPublicKey: string;
  /** By which it was let in; empty for the farm's own. */
  readonly tokenId: string;
  readonly atMs: number;
}

/** An agent is not let in any more. Its leases ended before. */
export interface AgentRevoked {
  readonly type: 'AgentRevoked';
  readonly agentId: string;
  readonly atMs: number;
}

/** The farm keeps a model; it takes the place of one of the same name. */
export interface ModelAdded {
  readonly type: 'ModelAdded';
  readonly name: string;
  readonly file: File;
  readonly manifest: ModelManifest;
  readonly atMs: number;
}

export interface ModelRemoved {
  readonly type: 'ModelRemoved';
  readonly name: string;
  readonly atMs: number;
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
  | CheckpointSaved
  | UnitsRequeued
  | JobCancelled
  | JobPaused
  | JobResumed
  | JobEnded
  | AgentEnrolled
  | AgentDrainChanged
  | AgentPolicySet
  | SnapshotTaken
  | JobsArchived
  | JobRemoved
  | SizesLearned
  | TicketsSet
  | OwnerSet
  | QuotaSet
  | TokenCreated
  | TokenRevoked
  | TokensUsed
  | AgentJoined
  | AgentRevoked
  | ModelAdded
  | ModelRemoved;

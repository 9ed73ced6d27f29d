/** What can be asked of the farm, and what it answers. */
import type { Role } from './credentials.ts';
import type { AgentPolicy } from './agent-policy.ts';
import type { EndKind } from './facts.ts';
import type { StoredPart } from './archive.ts';
import type { ModelManifest } from './model.ts';
import type { SeenMemory } from './model-memory.ts';
import type { Growth } from './size.ts';
import type { FailureRule, File, StepSpec } from './task.ts';
import type { Token } from './token.ts';

export interface SubmitJob {
  readonly type: 'SubmitJob';
  readonly clientId: string;
  readonly requestHash: string;
  readonly name: string;
  readonly priority: number;
  readonly recipe: string;
  readonly steps: readonly StepSpec[];
  readonly failures?: FailureRule | undefined;
  /** On whose account; undefined for nobody's. */
  readonly owner?: string | undefined;
  /** Most units that agents hold at once; undefined or 0 for no limit. */
  readonly maxUnits?: number | undefined;
  /** Input blobs that the store does not have; the others are pinned. */
  readonly missingBlobs: readonly string[];
  /** What is wrong with the lists of files that its units take, as reading them showed. */
  readonly listFault?: ListFault | undefined;
  /** Nothing is submitted: the question is whether it would be. */
  readonly validateOnly?: boolean;
  /** What was found of the client id in the archive. */
  readonly archived?: ArchiveLookup;
}

/** `message` is one line; BLOB_MISSING when files that a list names are not stored. */
export interface ListFault {
  readonly reason: 'INVALID_JOB' | 'BLOB_MISSING';
  readonly message: string;
}

/** Only reading tells whether a segment that may hold a client id does. */
export interface ArchiveLookup {
  /** Segments that were read for it. */
  readonly segments: readonly string[];
  readonly found: { readonly job: number; readonly requestHash: string } | undefined;
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
  readonly coordinatorVersion: string;
  readonly machineFingerprint: string;
}

export interface DrainAgent {
  readonly type: 'DrainAgent';
  /** Id or name. */
  readonly agent: string;
  readonly draining: boolean;
}

/** How many there are of a ticket; with 0 it is forgotten. */
export interface SetTickets {
  readonly type: 'SetTickets';
  readonly name: string;
  readonly limit: number;
}

/** An owner's share; what is undefined stays. */
export interface SetOwner {
  readonly type: 'SetOwner';
  readonly name: string;
  readonly weight: number | undefined;
  /** 0 for no limit. */
  readonly maxUnits: number | undefined;
}

/** What an owner may have waiting and stored; what is undefined stays, 0 is no limit. */
export interface SetQuota {
  readonly type: 'SetQuota';
  readonly name: string;
  readonly maxQueued: number | undefined;
  readonly maxStoredBytes: number | undefined;
}

export interface SetAgentPolicy {
  readonly type: 'SetAgentPolicy';
  /** Id or name. */
  readonly agent: string;
  /** Undefined: it has none any more. */
  readonly policy: AgentPolicy | undefined;
}

/** A person made a token; its secret is known to nobody but that person. */
export interface CreateToken {
  readonly type: 'CreateToken';
  readonly id: string;
  readonly role: Role;
  /** Whose jobs it is for; empty for everybody's. */
  readonly owner: string;
  readonly label: string;
  readonly secretHash: string;
  /** Unix time; 0 for never. */
  readonly expiresAtMs: number;
}

export interface RevokeToken {
  readonly type: 'RevokeToken';
  readonly id: string;
}

/** Tokens were used, and when last. */
export interface UseTokens {
  readonly type: 'UseTokens';
  readonly uses: readonly { readonly id: string; readonly atMs: number }[];
}

/** An agent gets a key of its own. */
export interface JoinAgent {
  readonly type: 'JoinAgent';
  readonly agentId: string;
  readonly secretHash: string;
  /** Public key (nkey) that it shows to NATS; empty for none. */
  readonly natsPublicKey: string;
  /** By which it was let in; empty for the farm's own. */
  readonly tokenId: string;
  /** Whoever asks may take the place of an agent that has joined already. */
  readonly mayReplace: boolean;
}

/** An agent is not let in any more. */
export interface RevokeAgent {
  readonly type: 'RevokeAgent';
  /** Id or name. */
  readonly agent: string;
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
  /** From its start to its end, by the agent's clock. */
  readonly runMs: number;
  /** The most memory it was seen to take; 0 where nobody saw it. */
  readonly peak: Growth;
  /** What its model was seen to take; undefined when it used none, or nothing was seen. */
  readonly modelMemory?: SeenMemory | undefined;
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

/** A segment of the archive is stored whole. */
export interface ArchiveJobs {
  readonly type: 'ArchiveJobs';
  readonly name: string;
  readonly index: StoredPart;
  readonly images: StoredPart;
  /** The jobs in it, and when they ended: one that was retried since is another. */
  readonly jobs: readonly { readonly number: number; readonly endedAtMs: number }[];
}

export interface RemoveJob {
  readonly type: 'RemoveJob';
  readonly job: number;
}

/** A running attempt has stored something to go on from. */
export interface SaveCheckpoint {
  readonly type: 'SaveCheckpoint';
  readonly agentId: string;
  readonly token: Token;
  readonly job: number;
  readonly step: string;
  readonly unit: number;
  readonly files: readonly File[];
  /** Files that the store does not have; the others are pinned. */
  readonly missingBlobs: readonly string[];
}

/** A model that the farm shall keep. */
export interface AddModel {
  readonly type: 'AddModel';
  readonly name: string;
  readonly file: File;
  readonly manifest: ModelManifest;
  /** It may take the place of another of that name. */
  readonly replace: boolean;
  /** Its file, if the store does not have it; else it is pinned. */
  readonly missingBlobs: readonly string[];
}

export interface RemoveModel {
  readonly type: 'RemoveModel';
  readonly name: string;
}

export type Command =
  | SubmitJob
  | SteerJob
  | EnrolAgent
  | DrainAgent
  | SetTickets
  | SetOwner
  | SetQuota
  | SetAgentPolicy
  | CreateToken
  | RevokeToken
  | UseTokens
  | JoinAgent
  | RevokeAgent
  | ReviewAgent
  | StreamClosed
  | GrantAnswered
  | ReportResults
  | SaveCheckpoint
  | Tick
  | SnapshotStored
  | ArchiveJobs
  | RemoveJob
  | AddModel
  | RemoveModel;

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

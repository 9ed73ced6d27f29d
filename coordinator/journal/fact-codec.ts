/**
 * Facts as the journal stores them. What is written today must be read by every later version; what
 * a later version wrote and this one does not know is refused, never skipped: a farm folded from
 * half of its facts would be another farm.
 */
import { FurrowError } from '../../kit/furrow-error.ts';
import { policyFromTerms, termsOfPolicy } from '../../proto/agent-policy.ts';
import * as wire from '../../proto/gen/furrow/journal/v1/journal.ts';
import { type Role, ROLES } from '../domain/credentials.ts';
import type {
  CheckpointSaved,
  EndKind,
  Fact,
  JobsArchived,
  JobSubmitted,
  LeaseEnded,
  LeaseResumed,
  LeasesGranted,
  ModelAdded,
  NextForUnit,
  ResultsAccepted,
} from '../domain/facts.ts';
import type { StepSpec } from '../domain/task.ts';
import { counterOf, epochOf, tokenOf, type Token } from '../domain/token.ts';
import { LONG_FACT_BYTES, packFact, unpackFact } from './packed-fact.ts';
import { MANY_STEPS, packSteps, unpackSteps } from './step-columns.ts';

type Wire = NonNullable<wire.Fact['kind']>;

/** What facts take from the commit that they stand in. */
export interface FactContext {
  readonly epoch: number;
  readonly writerId: Uint8Array;
  readonly sequence: number;
}

/** A writer leads once at most: its id is its reign's. */
export function reignIdOf(writerId: Uint8Array): string {
  return Buffer.from(writerId).toString('hex');
}

/** The fact's bytes as a furrow.journal.v1.Fact. */
export function encodeFact(fact: Fact): Uint8Array {
  const kind = toWire(fact);
  const plain = wire.Fact.encode({ kind }).finish();
  const hasColumns = kind.$case === 'jobSubmitted' && kind.value.packedSteps !== undefined;
  if (plain.byteLength < LONG_FACT_BYTES && !hasColumns) return plain;
  const packed = packFact(plain);
  if (packed === undefined) return plain;
  return wire.Fact.encode({ kind: { $case: 'packed', value: packed } }).finish();
}

/**
 * What the commit says already is not said again: granted tokens carry only their counter, and a reign
 * has its writer's id. FurrowError: failed-precondition JOURNAL_TOO_NEW. Throws something else when the fact
 * is damaged.
 */
export function fromWire({ kind }: wire.Fact, context: FactContext): Fact {
  if (kind?.$case !== 'packed') return factFrom(kind, context);
  return factFrom(wire.Fact.decode(unpackFact(kind.value)).kind, context);
}

function factFrom(kind: wire.Fact['kind'], { epoch, writerId, sequence }: FactContext): Fact {
  switch (kind?.$case) {
    case 'farmCreated':
      return { type: 'FarmCreated', ...kind.value };
    case 'epochStarted':
      return { type: 'EpochStarted', ...kind.value, reignId: reignIdOf(writerId), sequence };
    case 'jobSubmitted':
      return jobSubmitted(kind.value);
    case 'unitsCreated':
      return { type: 'UnitsCreated', ...kind.value };
    case 'leasesGranted':
      return leasesGranted(kind.value, epoch);
    case 'resultsAccepted':
      return resultsAccepted(kind.value);
    case 'leaseEnded':
      return leaseEnded(kind.value);
    case 'leaseResumed':
      return leaseResumed(kind.value);
    case 'checkpointSaved':
      return checkpointSaved(kind.value);
    case 'unitsRequeued':
      return { type: 'UnitsRequeued', ...kind.value };
    case 'jobCancelled':
      return { type: 'JobCancelled', ...kind.value };
    case 'jobPaused':
      return { type: 'JobPaused', ...kind.value };
    case 'jobResumed':
      return { type: 'JobResumed', ...kind.value };
    case 'jobEnded':
      return { type: 'JobEnded', ...kind.value };
    case 'agentEnrolled':
      return { type: 'AgentEnrolled', ...kind.value };
    case 'agentDrainChanged':
      return { type: 'AgentDrainChanged', ...kind.value };
    case 'agentPolicySet': {
      const { policy, ...rest } = kind.value;
      return { type: 'AgentPolicySet', ...rest, policy: policy && termsOfPolicy(policy) };
    }
    case 'snapshotTaken':
      return { type: 'SnapshotTaken', ...kind.value };
    case 'jobsArchived':
      return jobsArchived(kind.value);
    case 'jobRemoved':
      return { type: 'JobRemoved', ...kind.value };
    case 'sizesLearned':
      return { type: 'SizesLearned', ...kind.value };
    case 'ticketsSet':
      return { type: 'TicketsSet', ...kind.value };
    case 'ownerSet':
      return { type: 'OwnerSet', ...kind.value };
    case 'quotaSet':
      return { type: 'QuotaSet', ...kind.value };
    case 'tokenCreated':
      return { type: 'TokenCreated', ...kind.value, role: roleFromWire(kind.value.role) };
    case 'tokenRevoked':
      return { type: 'TokenRevoked', ...kind.value };
    case 'tokensUsed':
      return { type: 'TokensUsed', ...kind.value };
    case 'agentJoined':
      return { type: 'AgentJoined', ...kind.value };
    case 'agentRevoked':
      return { type: 'AgentRevoked', ...kind.value };
    case 'modelAdded':
      return modelAdded(kind.value);
    case 'modelRemoved':
      return { type: 'ModelRemoved', ...kind.value };
    case 'packed':
      throw new Error('a packed fact within another');
    case undefined:
      throw tooNew('a kind of fact');
  }
}

function toWire(fact: Fact): Wire {
  switch (fact.type) {
    case 'FarmCreated':
      return { $case: 'farmCreated', value: fact };
    case 'EpochStarted':
      return { $case: 'epochStarted', value: fact };
    case 'JobSubmitted':
      return { $case: 'jobSubmitted', value: { ...fact, ...stepsToWire(fact.steps) } };
    case 'UnitsCreated':
      return { $case: 'unitsCreated', value: fact };
    case 'LeasesGranted': {
      const value = { ...fact, firstCounter: counterOf(fact.firstToken) };
      return { $case: 'leasesGranted', value };
    }
    case 'ResultsAccepted': {
      const tokenEpochs = fact.tokens.map(epochOf);
      const tokenCounters = fact.tokens.map(counterOf);
      return { $case: 'resultsAccepted', value: { ...fact, tokenEpochs, tokenCounters } };
    }
    case 'LeaseEnded': {
      const value = { ...fact, ...tokenColumns(fact.token), next: nextToWire(fact.next) };
      return { $case: 'leaseEnded', value };
    }
    case 'LeaseResumed':
      return { $case: 'leaseResumed', value: { ...fact, ...tokenColumns(fact.token) } };
    case 'CheckpointSaved':
      return { $case: 'checkpointSaved', value: { ...fact, ...tokenColumns(fact.token) } };
    case 'UnitsRequeued':
      return { $case: 'unitsRequeued', value: fact };
    case 'JobCancelled':
      return { $case: 'jobCancelled', value: fact };
    case 'JobPaused':
      return { $case: 'jobPaused', value: fact };
    case 'JobResumed':
      return { $case: 'jobResumed', value: fact };
    case 'JobEnded':
      return { $case: 'jobEnded', value: fact };
    case 'AgentEnrolled':
      return { $case: 'agentEnrolled', value: fact };
    case 'AgentDrainChanged':
      return { $case: 'agentDrainChanged', value: fact };
    case 'AgentPolicySet': {
      const value = { ...fact, policy: fact.policy && policyFromTerms(fact.policy) };
      return { $case: 'agentPolicySet', value };
    }
    case 'SnapshotTaken':
      return { $case: 'snapshotTaken', value: fact };
    case 'JobsArchived': {
      const segment = { ...fact.segment, removed: [] };
      return { $case: 'jobsArchived', value: { ...fact, segment } };
    }
    case 'JobRemoved':
      return { $case: 'jobRemoved', value: fact };
    case 'SizesLearned':
      return { $case: 'sizesLearned', value: fact };
    case 'TicketsSet':
      return { $case: 'ticketsSet', value: fact };
    case 'OwnerSet':
      return { $case: 'ownerSet', value: fact };
    case 'QuotaSet':
      return { $case: 'quotaSet', value: fact };
    case 'TokenCreated':
      return { $case: 'tokenCreated', value: fact };
    case 'TokenRevoked':
      return { $case: 'tokenRevoked', value: fact };
    case 'TokensUsed':
      return { $case: 'tokensUsed', value: { uses: [...fact.uses] } };
    case 'AgentJoined':
      return { $case: 'agentJoined', value: fact };
    case 'AgentRevoked':
      return { $case: 'agentRevoked', value: fact };
    case 'ModelAdded':
      return { $case: 'modelAdded', value: fact };
    case 'ModelRemoved':
      return { $case: 'modelRemoved', value: fact };
  }
}

/** One that a later version knows opens nothing here, and must not be taken for another. */
export function roleFromWire(text: string): Role {
  const role = ROLES.find((each) => each === text);
  if (role === undefined) throw tooNew('a role');
  return role;
}

function stepsToWire(steps: readonly StepSpec[]): Pick<wire.JobSubmitted, 'steps' | 'packedSteps'> {
  return steps.length < MANY_STEPS
    ? { steps, packedSteps: undefined }
    : { steps: [], packedSteps: packSteps(steps) };
}

function jobSubmitted({ packedSteps, ...value }: wire.JobSubmitted): JobSubmitted {
  const steps = packedSteps === undefined ? value.steps : unpackSteps(packedSteps);
  steps.forEach(checkStep);
  return { type: 'JobSubmitted', ...value, steps };
}

/** A oneof with a kind that we do not know is decoded as empty; nobody writes one that is empty. */
function checkStep(step: StepSpec): void {
  if (step.task !== undefined && step.task.kind === undefined) throw tooNew('a kind of task');
  if (step.parameters !== undefined && step.parameters.kind === undefined) {
    throw tooNew('a kind of parameter space');
  }
  if (step.inputs.some((input) => input.kind === undefined)) throw tooNew('a kind of input');
}

function leasesGranted(value: wire.LeasesGranted, epoch: number): LeasesGranted {
  const { firstCounter, ...rest } = value;
  return { type: 'LeasesGranted', ...rest, firstToken: tokenOf(epoch, firstCounter) };
}

function resultsAccepted(value: wire.ResultsAccepted): ResultsAccepted {
  const { tokenEpochs, tokenCounters, ...rest } = value;
  const tokens = tokenCounters.map((counter, i) => tokenOf(tokenEpochs[i] ?? 0, counter));
  return { type: 'ResultsAccepted', ...rest, tokens };
}

function leaseEnded(value: wire.LeaseEnded): LeaseEnded {
  const { tokenEpoch, tokenCounter, kind, next, ...rest } = value;
  return {
    type: 'LeaseEnded',
    ...rest,
    token: tokenOf(tokenEpoch, tokenCounter),
    kind: endKind(kind),
    next: nextFromWire(next),
  };
}

function leaseResumed(value: wire.LeaseResumed): LeaseResumed {
  const { tokenEpoch, tokenCounter, ...rest } = value;
  return { type: 'LeaseResumed', ...rest, token: tokenOf(tokenEpoch, tokenCounter) };
}

function checkpointSaved(value: wire.CheckpointSaved): CheckpointSaved {
  const { tokenEpoch, tokenCounter, ...rest } = value;
  return { type: 'CheckpointSaved', ...rest, token: tokenOf(tokenEpoch, tokenCounter) };
}

function jobsArchived({ segment, atMs }: wire.JobsArchived): JobsArchived {
  if (segment?.index === undefined || segment.images === undefined) {
    throw tooNew('a kind of archive segment');
  }
  const { name, ranges, index, images, clientIdHashes } = segment;
  return {
    type: 'JobsArchived',
    segment: { name, ranges, index, images, clientIdHashes },
    atMs,
  };
}

function modelAdded({ file, manifest, ...rest }: wire.ModelAdded): ModelAdded {
  if (file === undefined || manifest === undefined) throw tooNew('a kind of model');
  return { type: 'ModelAdded', ...rest, file, manifest };
}

const tokenColumns = (token: Token): { tokenEpoch: number; tokenCounter: number } => ({
  tokenEpoch: epochOf(token),
  tokenCounter: counterOf(token),
});

function nextToWire(next: NextForUnit): wire.LeaseEnded['next'] {
  switch (next.kind) {
    case 'queued':
      return { $case: 'retryAtMs', value: next.notBeforeMs };
    case 'failed':
      return { $case: 'failed', value: true };
    case 'nothing':
      return { $case: 'nothing', value: true };
  }
}

function nextFromWire(next: wire.LeaseEnded['next']): NextForUnit {
  switch (next?.$case) {
    case 'retryAtMs':
      return { kind: 'queued', notBeforeMs: next.value };
    case 'failed':
      return { kind: 'failed' };
    case 'nothing':
      return { kind: 'nothing' };
    case undefined:
      throw tooNew('what becomes of a unit');
  }
}

/** A record, so that the compiler misses a kind that is new in the domain. */
const END_KINDS: Readonly<Record<EndKind, true>> = {
  failed: true,
  'invalid-input': true,
  'out-of-memory': true,
  'out-of-vram': true,
  'timed-out': true,
  stalled: true,
  'bad-output': true,
  lost: true,
  evicted: true,
  infrastructure: true,
  expired: true,
  refused: true,
  retracted: true,
  cancelled: true,
};

function endKind(text: string): EndKind {
  if (!Object.hasOwn(END_KINDS, text)) throw tooNew(`the end of a lease as ${text}`);
  return text as EndKind;
}

function tooNew(what: string): FurrowError {
  const message = `the journal holds ${what} that this version of Furrow does not know: a newer version wrote it, start that version`;
  return new FurrowError('failed-precondition', 'JOURNAL_TOO_NEW', message);
}

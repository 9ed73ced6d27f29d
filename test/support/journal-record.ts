/**
 * What the journal itself says, read from the NATS store past the coordinator: the witness of every
 * kill test. Reading it checks what must hold in any journal, whatever was killed.
 */
import { expect } from 'vitest';
import { apply } from '../../coordinator/domain/apply.ts';
import { checkFarm } from '../../coordinator/domain/check-farm.ts';
import type {
  Fact,
  LeaseEnded,
  LeasesGranted,
  ResultsAccepted,
} from '../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm } from '../../coordinator/domain/farm.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { EMPTY_TAIL, follow } from '../../coordinator/journal/chain.ts';
import { decodeCommit } from '../../coordinator/journal/commit-codec.ts';
import { readMessages } from '../../coordinator/journal/read-messages.ts';
import { AttemptOutcome } from '../../proto/gen/furrow/v1/job_service.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';
import { found, type TestFarm } from './farm.ts';

/** One thing that happened to one attempt. */
export interface AttemptRecord {
  /** Such as `j1/encode/0`. */
  readonly unitId: string;
  readonly attempt: number;
  readonly token: Token;
  readonly agentId: string;
  readonly outcome: AttemptOutcome;
  /** As in LeaseEnded; empty for grants and acceptances. */
  readonly failureKind: string;
  readonly atMs: number;
}

export class JournalRecord {
  readonly facts: readonly Fact[];
  readonly farm: Farm;
  readonly attempts: readonly AttemptRecord[];

  constructor(facts: readonly Fact[], farm: Farm) {
    this.facts = facts;
    this.farm = farm;
    this.attempts = facts.flatMap((fact) => attemptsIn(farm, fact));
  }

  granted(unitId = ''): readonly AttemptRecord[] {
    return this.#which(AttemptOutcome.ATTEMPT_OUTCOME_GRANTED, unitId);
  }

  accepted(unitId = ''): readonly AttemptRecord[] {
    return this.#which(AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED, unitId);
  }

  ended(unitId = ''): readonly AttemptRecord[] {
    return this.#which(AttemptOutcome.ATTEMPT_OUTCOME_ENDED, unitId);
  }

  #which(outcome: AttemptOutcome, prefix: string): readonly AttemptRecord[] {
    return this.attempts.filter((seen) => seen.outcome === outcome && isOf(seen.unitId, prefix));
  }
}

/** The whole journal. Fails the test when it breaks a promise. */
export async function readJournal(farm: TestFarm): Promise<JournalRecord> {
  const nats = await farm.nats.connect('witness');
  const manager = await nats.jetstreamManager();
  const { state } = await manager.streams.info(JOURNAL_STREAM);
  expect(state.first_seq, 'the journal is there from its beginning').toBe(1);
  const folded = emptyFarm();
  const facts: Fact[] = [];
  let tail = EMPTY_TAIL;
  for await (const message of readMessages(nats, 1, state.last_seq)) {
    const commit = decodeCommit(message.bytes, message.sequence);
    tail = follow(tail, commit);
    for (const fact of commit.facts) {
      apply(folded, fact);
      facts.push(fact);
    }
  }
  await nats.close();
  expect(checkFarm(folded)).toEqual([]);
  const record = new JournalRecord(facts, folded);
  checkPromises(record);
  return record;
}

/** No token twice, no unit accepted twice, nothing accepted that was not granted to that agent. */
function checkPromises(record: JournalRecord): void {
  const broken: string[] = [];
  const grants = new Map<Token, AttemptRecord>();
  for (const grant of record.granted()) {
    if (grants.has(grant.token)) broken.push(`${grant.unitId} got a token that was used before`);
    grants.set(grant.token, grant);
  }
  const accepted = new Set<string>();
  for (const { unitId, token, agentId, attempt } of record.accepted()) {
    if (accepted.has(unitId)) broken.push(`${unitId} was accepted twice`);
    accepted.add(unitId);
    const grant = grants.get(token);
    if (grant?.unitId !== unitId || grant.agentId !== agentId || grant.attempt !== attempt) {
      broken.push(`${unitId} was accepted with a token that was granted otherwise`);
    }
  }
  expect(broken).toEqual([]);
}

function isOf(unitId: string, prefix: string): boolean {
  return prefix === '' || unitId === prefix || unitId.startsWith(`${prefix}/`);
}

function attemptsIn(farm: Farm, fact: Fact): readonly AttemptRecord[] {
  switch (fact.type) {
    case 'LeasesGranted':
      return columns(farm, fact, AttemptOutcome.ATTEMPT_OUTCOME_GRANTED, (index) => {
        return (fact.firstToken + index) as Token;
      });
    case 'ResultsAccepted':
      return columns(farm, fact, AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED, (index) => {
        return found(fact.tokens[index], `token ${index}`);
      });
    case 'LeaseEnded':
      return [recordOfEnd(farm, fact)];
    default:
      return [];
  }
}

function columns(
  farm: Farm,
  fact: LeasesGranted | ResultsAccepted,
  outcome: AttemptOutcome,
  tokenAt: (index: number) => Token,
): readonly AttemptRecord[] {
  return fact.units.map((unit, index) => ({
    unitId: unitIdOf(farm, fact, unit),
    attempt: found(fact.attempts[index], `attempt ${index}`),
    token: tokenAt(index),
    agentId: fact.agentId,
    outcome,
    failureKind: '',
    atMs: fact.atMs,
  }));
}

function recordOfEnd(farm: Farm, fact: LeaseEnded): AttemptRecord {
  const { token, attempt, agentId, atMs } = fact;
  return {
    unitId: unitIdOf(farm, fact, fact.unit),
    attempt,
    token,
    agentId,
    outcome: AttemptOutcome.ATTEMPT_OUTCOME_ENDED,
    failureKind: fact.kind,
    atMs,
  };
}

function unitIdOf(
  farm: Farm,
  { job, step }: { readonly job: number; readonly step: number },
  unit: number,
): string {
  const spec = farm.jobs.get(job)?.steps[step]?.spec;
  return `j${job}/${found(spec, `step ${step} of j${job}`).name}/${unit}`;
}

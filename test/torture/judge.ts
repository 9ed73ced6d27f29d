/**
 * Says in words what was lost or doubled. Independent of the coordinator: it reads the evidence, and
 * shares no code with what it judges.
 */
import type { ClientNote, Evidence, JobAtEnd, JobPlan } from './evidence.ts';
import { type Acceptance, type Grant, type JournalStory, storyOf } from './journal-story.ts';

/** One line each; none when every promise was kept. */
export function judge(evidence: Evidence): readonly string[] {
  const case_ = new Case(evidence);
  return CHECKS.flatMap((check) => check(case_));
}

type Check = (case_: Case) => readonly string[];

/** Ends that say that the farm was in trouble, not the unit. */
const BLAMELESS: ReadonlySet<string> = new Set([
  'lost',
  'evicted',
  'expired',
  'refused',
  'retracted',
  'cancelled',
  'infrastructure',
]);
const MAX_LOSSES = 3;
/** A copy that is granted while the first result is on its way may begin before it is told to stop. */
const CROSSING_MS = 2_000;

/** The evidence, looked up in every way that checks need. */
class Case {
  readonly evidence: Evidence;
  readonly story: JournalStory;
  readonly plans: ReadonlyMap<string, JobPlan>;
  /** Client id by job id, as acknowledged. */
  readonly acknowledged = new Map<string, string>();
  readonly cancelled: ReadonlySet<string>;
  readonly jobs: ReadonlyMap<string, JobAtEnd>;
  readonly grants = new Map<string, Grant>();
  readonly acceptances: ReadonlyMap<string, readonly Acceptance[]>;

  constructor(evidence: Evidence) {
    this.evidence = evidence;
    this.story = storyOf(evidence.journal);
    const plans = new Map<string, JobPlan>();
    const cancelled = new Set<string>();
    for (const note of evidence.clients) {
      if (note.note === 'asks') plans.set(note.clientId, note.plan);
      if (note.note === 'acknowledged') this.acknowledged.set(note.jobId, note.clientId);
      if (note.note === 'cancelled') cancelled.add(note.jobId);
    }
    this.plans = plans;
    this.cancelled = cancelled;
    this.jobs = new Map(evidence.jobs.map((job) => [job.jobId, job]));
    for (const grant of this.story.grants) {
      if (!this.grants.has(grant.token)) this.grants.set(grant.token, grant);
    }
    this.acceptances = groupBy(this.story.acceptances, ({ unitId }) => unitId);
  }

  planOf(jobId: string): JobPlan | undefined {
    return this.plans.get(this.acknowledged.get(jobId) ?? '');
  }
}

const journalIsWhole: Check = ({ evidence: { journal, journalFaults } }) => {
  const broken = [...journalFaults];
  let before = '';
  for (const { sequence, hash, commit } of journal) {
    if (commit.previousHash.toString('hex') !== before) {
      broken.push(`the journal's message ${sequence} does not follow from the one before it`);
    }
    before = hash;
  }
  return broken;
};

const submitsAreKnown: Check = (case_) => {
  const broken: string[] = [];
  const byClient = new Map<string, string>();
  for (const [jobId, clientId] of case_.acknowledged) {
    const other = byClient.get(clientId);
    if (other !== undefined) {
      broken.push(`client id ${clientId} was acknowledged as ${other} and as ${jobId}: doubled`);
    }
    byClient.set(clientId, jobId);
    const job = case_.jobs.get(jobId);
    const journaled = case_.story.jobs.get(jobId);
    if (journaled === undefined) broken.push(`${jobId} was acknowledged and is not in the journal`);
    else if (journaled.clientId !== clientId) {
      broken.push(
        `${jobId} was acknowledged to ${clientId}, the journal has it as ${journaled.clientId}`,
      );
    }
    if (job === undefined) broken.push(`${jobId} was acknowledged and is not known any more: lost`);
    else broken.push(...unitsAreKnown(job, case_.planOf(jobId)));
  }
  const submitted = groupBy([...case_.story.jobs.values()], ({ clientId }) => clientId);
  for (const [clientId, jobs] of submitted) {
    if (jobs.length === 1) continue;
    broken.push(`the journal has ${jobs.length} jobs of client id ${clientId}: doubled`);
  }
  return broken;
};

function unitsAreKnown(job: JobAtEnd, plan: JobPlan | undefined): readonly string[] {
  const broken: string[] = [];
  for (const [name, wanted] of Object.entries(plan?.steps ?? {})) {
    const step = job.steps.find((each) => each.name === name);
    if (step === undefined) broken.push(`${job.jobId} has no step ${name}: lost`);
    // The units of a fan-out may never have come into being when the job was cancelled.
    else if (job.state !== 'cancelled' && wanted !== undefined && step.total !== wanted) {
      broken.push(`${job.jobId}/${name} has ${step.total} units of ${wanted}: lost or doubled`);
    }
    if (step !== undefined && step.units.length !== step.total) {
      broken.push(`${job.jobId}/${name} counts ${step.total} units and lists ${step.units.length}`);
    }
  }
  return broken;
}

const jobsSucceed: Check = (case_) => {
  const broken = case_.evidence.unfinished.map((what) => `not ended within the bound: ${what}`);
  for (const jobId of case_.acknowledged.keys()) {
    const job = case_.jobs.get(jobId);
    if (job === undefined) continue;
    const wanted = case_.cancelled.has(jobId) ? 'cancelled' : 'succeeded';
    if (job.state !== wanted) {
      const undone = wanted === 'cancelled' ? 'its cancel was acknowledged: undone' : job.reason;
      broken.push(`${jobId} ended as ${job.state}, not as ${wanted} (${undone})`);
    }
    if (job.state !== 'succeeded') continue;
    for (const { name, total, accepted, units } of job.steps) {
      const others = units.filter((unit) => !unit.endsWith(':accepted'));
      if (accepted !== total || others.length > 0) {
        broken.push(`${jobId} succeeded with ${accepted} of ${total} units of ${name} accepted`);
      }
    }
  }
  return broken;
};

/** What a client was told stays so. */
const whatWasToldHolds: Check = (case_) => {
  const broken: string[] = [];
  const retried = new Set(notesOf(case_, 'retried').map(({ jobId }) => jobId));
  for (const { jobId, state } of notesOf(case_, 'ended')) {
    const job = case_.jobs.get(jobId);
    if (job === undefined || job.state === state) continue;
    if (state === 'failed' && retried.has(jobId)) continue;
    broken.push(`a client was told that ${jobId} ${state}; at the end it is ${job.state}: undone`);
  }
  for (const unitId of new Set(notesOf(case_, 'accepted').flatMap(({ units }) => units))) {
    if (!case_.acceptances.has(unitId)) {
      broken.push(
        `a client was told that ${unitId} was accepted; the journal does not have it: lost`,
      );
    }
  }
  for (const { message } of notesOf(case_, 'wrong'))
    broken.push(`a client was refused: ${message}`);
  return broken;
};

const oneResultEach: Check = (case_) => {
  const broken: string[] = [];
  for (const [unitId, all] of case_.acceptances) {
    if (all.length > 1) {
      const tokens = all.map(({ token }) => token).join(', ');
      broken.push(`${unitId} was accepted ${all.length} times (tokens ${tokens}): doubled`);
    }
    for (const { token, agentId, attempt } of all) {
      const grant = case_.grants.get(token);
      if (grant === undefined)
        broken.push(`${unitId} was accepted with token ${token}, never granted`);
      else if (grant.unitId !== unitId || grant.attempt !== attempt || grant.agentId !== agentId) {
        broken.push(
          `attempt ${attempt} of ${unitId} was accepted from ${agentId} with token ${token}, which was granted for attempt ${grant.attempt} of ${grant.unitId} on ${grant.agentId}`,
        );
      }
    }
  }
  for (const job of case_.jobs.values()) {
    for (const { name, units } of job.steps) {
      for (const unit of units.filter((each) => each.endsWith(':accepted'))) {
        const unitId = `${job.jobId}/${name}/${unit.split(':')[0]}`;
        if (case_.acceptances.has(unitId)) continue;
        broken.push(`${unitId} is shown as accepted and has no result in the journal: lost`);
      }
    }
  }
  return broken;
};

/** Whose lease ended, and whose unit was granted anew after that, must not win any more. */
const theStaleNeverWin: Check = ({ story }) => {
  const broken: string[] = [];
  const endOf = new Map(story.ends.map(({ token, place }) => [token, place]));
  const grantsOf = groupBy(story.grants, ({ unitId }) => unitId);
  for (const { unitId, token, place } of story.acceptances) {
    const endedAt = endOf.get(token) ?? Infinity;
    const isStale = (grantsOf.get(unitId) ?? []).some(
      (grant) => grant.place > endedAt && grant.place < place,
    );
    if (isStale) broken.push(`${unitId} was accepted from token ${token}, which was stale`);
  }
  return broken;
};

const tokensAreUsedOnce: Check = ({ story }) => {
  const seen = new Map<string, Grant>();
  const broken: string[] = [];
  for (const grant of story.grants) {
    const before = seen.get(grant.token);
    if (before !== undefined) {
      broken.push(`token ${grant.token} was granted for ${before.unitId} and for ${grant.unitId}`);
    }
    seen.set(grant.token, grant);
  }
  return broken;
};

/** Neither granted nor accepted once it has its result, or its job was cancelled. */
const closedIsClosed: Check = (case_) => {
  const broken: string[] = [];
  for (const { unitId, token, place } of case_.story.grants) {
    const accepted = case_.acceptances.get(unitId)?.[0];
    if (accepted !== undefined && accepted.place < place) {
      broken.push(`${unitId} was granted again (token ${token}) after its result was accepted`);
    }
  }
  const cancelledAt = (unitId: string): number =>
    case_.story.jobs.get(unitId.split('/')[0] ?? '')?.cancelledAt ?? Infinity;
  for (const { unitId, place } of case_.story.acceptances) {
    if (place > cancelledAt(unitId))
      broken.push(`${unitId} was accepted after its job was cancelled`);
  }
  for (const { unitId, place } of case_.story.grants) {
    if (place > cancelledAt(unitId))
      broken.push(`${unitId} was granted after its job was cancelled`);
  }
  for (const jobId of case_.cancelled) {
    if (case_.story.jobs.get(jobId)?.cancelledAt !== undefined) continue;
    broken.push(`the cancel of ${jobId} was acknowledged and is not in the journal: lost`);
  }
  return broken;
};

const pausedIsPaused: Check = ({ story }) => {
  const broken: string[] = [];
  for (const { unitId, token, place } of story.grants) {
    const pauses = story.jobs.get(unitId.split('/')[0] ?? '')?.pauses ?? [];
    if (!pauses.some(({ from, to }) => from < place && place < to)) continue;
    broken.push(`${unitId} was granted (token ${token}) while its job was paused`);
  }
  return broken;
};

/** Faults of the farm must not be told as faults of the unit. */
const failuresAreExcused: Check = ({ story }) => {
  const broken: string[] = [];
  const losses = new Map<string, { count: number; readonly agents: Set<string> }>();
  const requeues = [...story.jobs.values()].flatMap(({ jobId, requeuedAt }) =>
    requeuedAt.map((place) => ({ jobId, place })),
  );
  let next = 0;
  requeues.sort((a, b) => a.place - b.place);
  for (const { unitId, agentId, kind, message, gaveUp, place } of story.ends) {
    for (; (requeues[next]?.place ?? Infinity) < place; next += 1) {
      const prefix = `${requeues[next]?.jobId}/`;
      for (const id of losses.keys()) if (id.startsWith(prefix)) losses.delete(id);
    }
    const loss = losses.get(unitId) ?? { count: 0, agents: new Set<string>() };
    if (kind === 'lost') {
      loss.count += 1;
      loss.agents.add(agentId);
      losses.set(unitId, loss);
    }
    if (!BLAMELESS.has(kind)) {
      broken.push(`${unitId} ended as ${kind}, which no fault explains: ${message}`);
    } else if (gaveUp && (loss.count < MAX_LOSSES || loss.agents.size < 2)) {
      broken.push(
        `${unitId} was given up after ${loss.count} losses on ${loss.agents.size} agents: ${message}`,
      );
    }
  }
  return broken;
};

/** What agents were told agrees with the journal. */
const verdictsAgree: Check = (case_) => {
  const broken: string[] = [];
  const accepted = new Set(case_.story.acceptances.map(({ token }) => token));
  for (const { agent, token, verdict } of case_.evidence.verdicts) {
    const unitId = case_.grants.get(token)?.unitId ?? 'an unknown unit';
    if (verdict === 'accepted' && !accepted.has(token)) {
      broken.push(
        `${agent} was told that its result of ${unitId} (token ${token}) is accepted; the journal does not have it: lost`,
      );
    }
    if (verdict === 'stale' && accepted.has(token)) {
      broken.push(`${agent} was told STALE for ${unitId} (token ${token}), which was accepted`);
    }
  }
  return broken;
};

/** By what units wrote down themselves: no attempt runs twice, none without a grant, none too late. */
const unitsRanAsGranted: Check = (case_) => {
  const broken: string[] = [];
  const begun = groupBy(
    case_.evidence.ledger.filter(({ what }) => what === 'begin'),
    ({ token }) => token,
  );
  const ended = new Set(
    case_.evidence.ledger.filter(({ what }) => what === 'end').map(({ token }) => token),
  );
  for (const [token, lines] of begun) {
    const [{ unitId, attempt, atMs } = { unitId: '', attempt: 0, atMs: 0 }] = lines;
    if (lines.length > 1)
      broken.push(`${unitId} ran ${lines.length} times under one token ${token}`);
    const grant = case_.grants.get(token);
    if (grant?.unitId !== unitId || grant.attempt !== attempt) {
      broken.push(`${unitId} ran under token ${token}, which was not granted for it`);
      continue;
    }
    const accepted = case_.acceptances.get(unitId)?.[0];
    if (accepted === undefined || accepted.token === token || atMs <= accepted.atMs) continue;
    if (grant.isCopy && grant.place < accepted.place && atMs < accepted.atMs + CROSSING_MS)
      continue;
    if (!wasDisturbed(case_, grant.atMs, atMs)) {
      broken.push(
        `${unitId} was begun (token ${token}) after its result was accepted, with no fault between`,
      );
    }
  }
  for (const { unitId, token } of case_.story.acceptances) {
    const [jobId = '', step = ''] = unitId.split('/');
    if (case_.planOf(jobId)?.inLedger.includes(step) !== true || ended.has(token)) continue;
    broken.push(
      `${unitId} was accepted (token ${token}) and never came to its end by its own account`,
    );
  }
  return broken;
};

function wasDisturbed({ evidence }: Case, fromMs: number, toMs: number): boolean {
  return evidence.faults.some((fault) => fault.fromMs < toMs && fault.toMs > fromMs);
}

const outputsAreRight: Check = (case_) => {
  const broken: string[] = [];
  for (const { jobId, name, sha256, expected } of case_.evidence.outputs) {
    if (sha256 === undefined) broken.push(`output ${name} of ${jobId} cannot be fetched: lost`);
    else if (sha256 !== expected) broken.push(`output ${name} of ${jobId} has the wrong content`);
  }
  const fetched = groupBy(case_.evidence.outputs, ({ jobId }) => jobId);
  for (const [jobId] of case_.acknowledged) {
    const plan = case_.planOf(jobId);
    const step = plan?.kind === 'kept' ? 'kept' : plan?.kind === 'fan-out' ? 'grow' : undefined;
    if (plan === undefined || step === undefined) continue;
    if (case_.jobs.get(jobId)?.state !== 'succeeded') continue;
    const names = new Set((fetched.get(jobId) ?? []).map(({ name }) => name));
    const wanted = plan.steps[step] ?? 0;
    if (names.size !== wanted) broken.push(`${jobId} has ${names.size} outputs of ${wanted}: lost`);
  }
  return broken;
};

const filmsAreWhole: Check = (case_) => {
  const broken: string[] = [];
  for (const { jobId, sourceFrames, frames, inOrder, source } of case_.evidence.films) {
    if (frames !== sourceFrames) {
      broken.push(
        `the film of ${jobId} has ${frames} frames, its source ${source} ${sourceFrames}`,
      );
    } else if (!inOrder) broken.push(`the film of ${jobId} shows other frames than its source`);
  }
  const seen = new Set(case_.evidence.films.map(({ jobId }) => jobId));
  for (const [jobId] of case_.acknowledged) {
    const isFilm = case_.planOf(jobId)?.kind === 'film';
    if (!isFilm || case_.jobs.get(jobId)?.state !== 'succeeded' || seen.has(jobId)) continue;
    broken.push(`the film of ${jobId} cannot be fetched: lost`);
  }
  return broken;
};

const nothingIsLeft: Check = ({ evidence: { leftovers, crashes, disagreements } }) => [
  ...disagreements,
  ...leftovers.map((line) => `left over: ${line}`),
  ...crashes.map((line) => `crashed: ${line}`),
];

const CHECKS: readonly Check[] = [
  journalIsWhole,
  submitsAreKnown,
  jobsSucceed,
  whatWasToldHolds,
  oneResultEach,
  theStaleNeverWin,
  tokensAreUsedOnce,
  closedIsClosed,
  pausedIsPaused,
  failuresAreExcused,
  verdictsAgree,
  unitsRanAsGranted,
  outputsAreRight,
  filmsAreWhole,
  nothingIsLeft,
];

function notesOf<Kind extends ClientNote['note']>(
  { evidence }: Case,
  kind: Kind,
): readonly Extract<ClientNote, { note: Kind }>[] {
  return evidence.clients.filter(
    (note): note is Extract<ClientNote, { note: Kind }> => note.note === kind,
  );
}

function groupBy<T>(
  all: Iterable<T>,
  keyOf: (each: T) => string,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) {
    const group = groups.get(keyOf(each));
    if (group === undefined) groups.set(keyOf(each), [each]);
    else group.push(each);
  }
  return groups;
}

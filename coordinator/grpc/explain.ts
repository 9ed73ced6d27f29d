/** JobService.Explain: why a job, a step of it or one of its units stands where it does. */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { ExplainResponse } from '../../proto/gen/furrow/v1/job_service.ts';
import { type Explanation, explainJob, explainStep, explainUnit } from '../domain/explain.ts';
import { type Farm, type Job, jobId, jobNumberOf, type StepRun } from '../domain/farm.ts';
import type { Seen } from '../domain/estimates.ts';
import { viewOfJob } from '../domain/views.ts';
import { explanationLines, explanationToWire, jobSummary } from './explain-wire.ts';
import { seenNow, type Watcher } from './seen-now.ts';
import { findJob, jobUnknown, type WatchSource } from './watch-job.ts';
import type { Principal } from '../access.ts';
import type { KnownJobs } from '../known-jobs.ts';
import { mustSee } from './own-jobs.ts';

export interface ExplainSource extends WatchSource, Watcher {
  readonly known: KnownJobs;
}

/** What an id names. */
interface Subject {
  readonly id: string;
  readonly job: number;
  /** A step's name, and a unit of it. */
  readonly step: string | undefined;
  readonly unit: number | undefined;
}

/** So many steps are named to whoever asks for one that is not there. */
const MOST_NAMES = 20;

const SUBJECT = /^(j[0-9]+)(?:\/([A-Za-z0-9_-]{1,64})(?:\/([0-9]{1,10}))?)?$/;

/** FurrowError: not-found JOB_UNKNOWN, STEP_UNKNOWN, UNIT_UNKNOWN; unavailable as other reads. */
export async function explain(
  source: ExplainSource,
  id: string,
  principal: Principal,
): Promise<ExplainResponse> {
  const subject = subjectOf(id);
  await mustSee(source, principal, subject.job);
  const shown = await findJob(source, subject.job);
  if (shown === undefined) throw jobUnknown(jobId(subject.job));
  const look = (_farm: Farm, job: Job): ExplainResponse => answer(source, job, subject);
  const live = shown.archived ? undefined : await source.office.readJob(subject.job, look);
  if (live !== undefined) return live;
  const archived = await source.known.archivedJob(subject.job);
  if (archived === undefined) throw jobUnknown(jobId(subject.job));
  return look(source.farm, archived);
}

function subjectOf(id: string): Subject {
  const match = SUBJECT.exec(id);
  const job = match?.[1] === undefined ? undefined : jobNumberOf(match[1]);
  if (match === null || job === undefined) {
    const shown = JSON.stringify(id.slice(0, 80));
    const message = `${shown} names no job and no unit: ids look like j12 and j12/encode/7`;
    throw new FurrowError('not-found', 'JOB_UNKNOWN', message);
  }
  return { id, job, step: match[2], unit: match[3] === undefined ? undefined : Number(match[3]) };
}

function answer(source: ExplainSource, job: Job, subject: Subject): ExplainResponse {
  const { duty, ageMs } = source.office;
  const seen = seenNow(source);
  const told = new Set<string>();
  const explanations = explanationsOf(seen, job, subject).map((explanation) => {
    const { standing } = explanation;
    const classKey = standing.state === 'waiting' ? standing.size.classKey : '';
    const isNew = !told.has(classKey);
    told.add(classKey);
    return explanationToWire(seen, explanation, isNew);
  });
  const [first] = explanations;
  const isUnit = subject.unit !== undefined && first !== undefined;
  const summary = isUnit ? `${first.subject} ${first.why}` : jobSummary(viewOfJob(job));
  const leader = duty.state === 'standby' ? (duty.leader?.grpc ?? '') : '';
  const { hearsAgents } = seen;
  const lines = explanationLines(isUnit ? '' : summary, explanations);
  return { id: subject.id, summary, explanations, lines, hearsAgents, leader, ageMs };
}

function explanationsOf(seen: Seen, job: Job, { id, step: name, unit }: Subject): Explanation[] {
  if (name === undefined) return explainJob(seen, job);
  const step = stepNamed(job, name);
  const ofStep = `${jobId(job.number)}/${name}`;
  if (unit === undefined) return explainStep(seen, job, step);
  const units = step.units?.size;
  if (units === undefined || unit < units) return [explainUnit(seen, job, step, unit)];
  const message = `no unit ${id}: ${ofStep} has ${units} units, from 0 to ${units - 1}`;
  throw new FurrowError('not-found', 'UNIT_UNKNOWN', message);
}

function stepNamed(job: Job, name: string | undefined): StepRun {
  const step = job.steps.find(({ spec }) => spec.name === name);
  if (step !== undefined) return step;
  const names = job.steps.slice(0, MOST_NAMES).map(({ spec }) => spec.name);
  const others = job.steps.length - names.length;
  const known = `${names.join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
  const message = `${jobId(job.number)} has no step ${JSON.stringify(name)}: its steps are ${known}`;
  throw new FurrowError('not-found', 'STEP_UNKNOWN', message);
}

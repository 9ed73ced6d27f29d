/**
 * What --json prints: the protocol's own field names, every field always there, enums by their short
 * names. Scripts depend on it: fields may be added, never renamed.
 */
import type { Agent } from '../../proto/gen/furrow/v1/farm_service.ts';
import type {
  Job,
  StreamLogsResponse,
  Unit,
  WatchJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { Report } from '../report.ts';
import {
  agentStateName,
  attemptOutcomeName,
  jobStateName,
  journalStateName,
  unitStateName,
} from './names.ts';
import type { WatchEvent } from './progress-model.ts';

export function jsonOf(report: Report): unknown {
  switch (report.kind) {
    case 'jobs':
      return { jobs: report.jobs.map(jobJson), ageMs: report.ageMs };
    case 'units':
      return { units: report.units.map(unitJson) };
    case 'agents':
      return { agents: report.agents.map(agentJson) };
    case 'status':
      return {
        address: report.address,
        ...report.status,
        journal: journalStateName(report.status.journal),
      };
    case 'submitted': {
      const { job, clientId, alreadySubmitted } = report;
      return { jobId: job.id, clientId, alreadySubmitted, job: jobJson(job) };
    }
    case 'changed':
      return { job: jobJson(report.job) };
    case 'fetched':
      return { jobId: report.jobId, files: report.files };
    case 'demo':
      return report;
    case 'drained':
      return { agent: report.agent, draining: report.draining };
  }
}

function jobJson(job: Job): object {
  return { ...job, state: jobStateName(job.state) };
}

function unitJson(unit: Unit): object {
  return { ...unit, state: unitStateName(unit.state) };
}

function agentJson(agent: Agent): object {
  return { ...agent, state: agentStateName(agent.state) };
}

/** One line of `watch --json`; undefined for what has no meaning here. */
export function watchEventJson(event: WatchEvent): object | undefined {
  if (event.kind === 'unreachable') return { event: 'unreachable', reason: event.reason };
  if (event.kind === 'reachable') return { event: 'reachable' };
  return watchMessageJson(event.message);
}

function watchMessageJson({ cursor, event }: WatchJobResponse): object | undefined {
  switch (event?.$case) {
    case 'job':
      return { event: 'job', cursor, job: jobJson(event.value) };
    case 'attempts': {
      const attempts = event.value.events.map((attempt) => {
        return { ...attempt, outcome: attemptOutcomeName(attempt.outcome) };
      });
      return { event: 'attempts', cursor, attempts };
    }
    case 'progress':
      return { event: 'progress', units: event.value.units };
    default:
      return undefined;
  }
}

/** One line of `logs --json`. */
export function logJson(message: StreamLogsResponse): object {
  return { ...message };
}

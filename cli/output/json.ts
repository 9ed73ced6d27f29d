/**
 * What --json prints: the protocol's own field names, every field always there, enums by their short
 * names. Scripts depend on it: fields may be added, never renamed.
 */
import type { AccessToken } from '../../proto/gen/furrow/v1/farm_service.ts';
import { modelJson } from './model-text.ts';
import { roleName } from './token-text.ts';
import { termsOfPolicy } from '../../proto/agent-policy.ts';
import type { Agent } from '../../proto/gen/furrow/v1/farm_service.ts';
import type {
  ExplainResponse,
  Job,
  JobPlan,
  StreamLogsResponse,
  Unit,
  WatchJobResponse,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { ShownSetting } from '../../kit/settings-sources.ts';
import type { ContextView } from '../context-view.ts';
import type { Report } from '../report.ts';
import {
  agentAnswerStateName,
  agentStateName,
  attemptOutcomeName,
  explainedStateName,
  jobStateName,
  journalStateName,
  unitStateName,
} from './names.ts';
import type { WatchEvent } from './progress-model.ts';

export function jsonOf(report: Report): unknown {
  switch (report.kind) {
    case 'jobs':
      return { jobs: report.jobs.map(jobJson), ageMs: report.ageMs, warnings: report.warnings };
    case 'job':
      return { job: jobJson(report.job) };
    case 'removed':
      return { jobId: report.jobId };
    case 'units':
      return { units: report.units.map(unitJson), ageMs: report.ageMs };
    case 'explanation':
      return explanationJson(report.answer);
    case 'agents':
      return {
        agents: report.agents.map(agentJson),
        ageMs: report.ageMs,
        coordinatorVersion: report.coordinatorVersion,
      };
    case 'sizes':
      return { sizes: report.sizes };
    case 'agent':
      return { agent: agentJson(report.agent), ageMs: report.ageMs };
    case 'status':
      return {
        address: report.address,
        context: report.context ?? null,
        ...report.status,
        journal: journalStateName(report.status.journal),
      };
    case 'plan':
      return { name: report.name, notes: report.notes, ...planJson(report.plan) };
    case 'submitted': {
      const { job, clientId, alreadySubmitted, notes } = report;
      return { jobId: job.id, clientId, alreadySubmitted, notes, job: jobJson(job) };
    }
    case 'changed':
      return { job: jobJson(report.job) };
    case 'fetched':
      return { jobId: report.jobId, files: report.files };
    case 'demo':
      return report;
    case 'tokens':
      return { tokens: report.tokens.map(tokenToJson) };
    case 'token':
      return {
        token: report.token && tokenToJson(report.token),
        secret: report.secret,
        url: report.url,
      };
    case 'invitation':
      return { id: report.id, url: report.url, expiresAtMs: report.expiresAtMs };
    case 'revoked':
      return { revoked: report.what, name: report.name };
    case 'proofs':
      return {
        jobId: report.jobId,
        ok: report.proofs.every((proof) => proof.report.ok),
        proofs: report.proofs.map(({ name, report: proof }) => ({ name, ...proof })),
      };
    case 'results':
      return { jobId: report.jobId, films: report.films };
    case 'tickets':
      return { tickets: report.tickets };
    case 'owners':
      return { owners: report.owners };
    case 'policy':
      return {
        agent: report.agent,
        policy: report.terms ?? null,
        closedReason: report.closedReason ?? null,
      };
    case 'contexts':
      return { contexts: report.contexts.map(contextJson) };
    case 'context':
      return { context: contextJson(report.context) };
    case 'context-removed':
      return { context: report.name };
    case 'config':
      return { role: report.role, settings: report.settings.map(settingJson) };
    case 'models':
      return { models: report.models.map(modelJson) };
    case 'model':
      return { model: modelJson(report.model) };
    case 'model-trials':
      return {
        model: report.model,
        trials: report.trials.map(({ fault = null, facts = null, ...trial }) => ({
          ...trial,
          fault,
          facts,
        })),
      };
    case 'model-removed':
      return { model: report.name };
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

function explanationJson({ lines: _lines, explanations, ...rest }: ExplainResponse): object {
  return {
    ...rest,
    explanations: explanations.map(({ state, agents, startInMs, endInMs, ...more }) => ({
      ...more,
      state: explainedStateName(state),
      startInMs: startInMs ?? null,
      endInMs: endInMs ?? null,
      agents: agents.map(({ state: answer, roomInMs, ...agent }) => ({
        ...agent,
        state: agentAnswerStateName(answer),
        roomInMs: roomInMs ?? null,
      })),
    })),
  };
}

function planJson({ steps, takesMs, unknown }: JobPlan): object {
  return {
    takesMs: takesMs ?? null,
    unknown,
    steps: steps.map((step) => ({
      ...step,
      unitMs: step.unitMs ?? null,
      takesMs: step.takesMs ?? null,
    })),
  };
}

function agentJson(agent: Agent): object {
  const { policy, closedReason = null } = agent;
  return {
    ...agent,
    state: agentStateName(agent.state),
    policy: policy ? termsOfPolicy(policy) : null,
    closedReason,
  };
}

function contextJson({ address, ...context }: ContextView): object {
  return { ...context, address: address ?? null };
}

function settingJson({ name, value = null, from }: ShownSetting): object {
  return { name, value, from };
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

function tokenToJson(token: AccessToken): object {
  return { ...token, role: roleName(token.role) };
}

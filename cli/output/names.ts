/** Short lower-case names of the protocol's enums, for screens and for --json. */
import { AgentState, JournalState } from '../../proto/gen/furrow/v1/farm_service.ts';
import {
  AgentAnswerState,
  AttemptOutcome,
  ExplainedState,
  JobState,
  UnitState,
} from '../../proto/gen/furrow/v1/job_service.ts';
import type { UnitStateName } from './unit-state-names.ts';

const shortName = (name: string | undefined, prefix: string): string =>
  name?.startsWith(prefix)
    ? name.slice(prefix.length).toLowerCase().replaceAll('_', '-')
    : 'unknown';

/** queued, running, paused, succeeded, failed, cancelled. */
export const jobStateName = (state: JobState): string => shortName(JobState[state], 'JOB_STATE_');

/** blocked, queued, leased, accepted, failed, cancelled. */
export const unitStateName = (state: UnitState): string =>
  shortName(UnitState[state], 'UNIT_STATE_');

/** online, suspect, offline, draining. */
export const agentStateName = (state: AgentState): string =>
  shortName(AgentState[state], 'AGENT_STATE_');

/** ok, in-doubt, refusing. */
export const journalStateName = (state: JournalState): string =>
  shortName(JournalState[state], 'JOURNAL_STATE_');

/** granted, accepted, ended. */
export const attemptOutcomeName = (outcome: AttemptOutcome): string =>
  shortName(AttemptOutcome[outcome], 'ATTEMPT_OUTCOME_');

/** paused, blocked, retrying, waiting, held, accepted, failed, cancelled, held-back. */
export const explainedStateName = (state: ExplainedState): string =>
  shortName(ExplainedState[state], 'EXPLAINED_STATE_');

/** fits, paused, busy, used-by-others, closed, too-small, lacks, kept. */
export const agentAnswerStateName = (state: AgentAnswerState): string =>
  shortName(AgentAnswerState[state], 'AGENT_ANSWER_STATE_');

const UNIT_STATES: Readonly<Record<UnitStateName, UnitState>> = {
  blocked: UnitState.UNIT_STATE_BLOCKED,
  queued: UnitState.UNIT_STATE_QUEUED,
  leased: UnitState.UNIT_STATE_LEASED,
  accepted: UnitState.UNIT_STATE_ACCEPTED,
  failed: UnitState.UNIT_STATE_FAILED,
  cancelled: UnitState.UNIT_STATE_CANCELLED,
};

export function unitStateOf(name: UnitStateName): UnitState {
  return UNIT_STATES[name];
}

/** Whether nothing more happens to the job by itself. */
export function hasEnded(state: JobState): boolean {
  return (
    state === JobState.JOB_STATE_SUCCEEDED ||
    state === JobState.JOB_STATE_FAILED ||
    state === JobState.JOB_STATE_CANCELLED
  );
}

/** Short lower-case names of the protocol's enums, for screens and for --json. */
import { AgentState, JournalState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { AttemptOutcome, JobState, UnitState } from '../../proto/gen/furrow/v1/job_service.ts';

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

/** Unit states by the names that `--state` takes. */
export const UNIT_STATES: ReadonlyMap<string, UnitState> = new Map(
  [
    UnitState.UNIT_STATE_BLOCKED,
    UnitState.UNIT_STATE_QUEUED,
    UnitState.UNIT_STATE_LEASED,
    UnitState.UNIT_STATE_ACCEPTED,
    UnitState.UNIT_STATE_FAILED,
    UnitState.UNIT_STATE_CANCELLED,
  ].map((state) => [unitStateName(state), state]),
);

/** Whether nothing more happens to the job by itself. */
export function hasEnded(state: JobState): boolean {
  return (
    state === JobState.JOB_STATE_SUCCEEDED ||
    state === JobState.JOB_STATE_FAILED ||
    state === JobState.JOB_STATE_CANCELLED
  );
}

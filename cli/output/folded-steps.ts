/** Steps as people want to see them: a folder's films have steps of their own, by the hundred. */
import type { Job, StepStatus } from '../../proto/gen/furrow/v1/job_service.ts';

/** `encode-0`, `encode-1` … of a folder's job as one `encode`; any other job's steps as they are. */
export function foldedSteps({
  recipe,
  steps,
}: Pick<Job, 'recipe' | 'steps'>): readonly StepStatus[] {
  if (recipe !== 'folder') return steps;
  const folded = new Map<string, StepStatus>();
  for (const step of steps) {
    const name = step.name.replace(/-\d+$/, '');
    const before = folded.get(name);
    folded.set(name, before === undefined ? { ...step, name } : together(before, step));
  }
  return [...folded.values()];
}

function together(a: StepStatus, b: StepStatus): StepStatus {
  return {
    name: a.name,
    total: a.total + b.total,
    blocked: a.blocked + b.blocked,
    queued: a.queued + b.queued,
    leased: a.leased + b.leased,
    accepted: a.accepted + b.accepted,
    failed: a.failed + b.failed,
    cancelled: a.cancelled + b.cancelled,
    known: a.known && b.known,
    lostAttempts: a.lostAttempts + b.lostAttempts,
  };
}

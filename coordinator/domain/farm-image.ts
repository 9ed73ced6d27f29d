/** A farm as text: two farms are equal if and only if their images are, byte for byte. */
import type { Farm, Job } from './farm.ts';
import type { UnitTable } from './unit-table.ts';

export function farmImage(farm: Farm): string {
  return JSON.stringify({
    farmId: farm.farmId,
    epoch: farm.epoch,
    lastCounter: farm.lastCounter,
    lastJob: farm.lastJob,
    jobs: [...farm.jobs.values()].map(imageOfJob),
    clientIds: [...farm.jobByClientId],
    leases: [...farm.leases.values()],
    lapsed: [...farm.lapsed.values()],
    agents: farm.agentByNumber.map((agent) => ({
      ...agent,
      leases: [...agent.leases],
      booking: {
        ...agent.booking,
        vramBytes: [...agent.booking.vramBytes].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      },
    })),
    ready: [...farm.ready.classes()].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    snapshots: farm.snapshots.map(({ sequence, hash }) => [sequence, hash]),
  });
}

function imageOfJob(job: Job): unknown {
  // Named one by one: the order of an object's keys must not depend on how it was made.
  const { number, clientId, requestHash, name, priority, recipe, submittedAtMs } = job;
  const { paused, started, end } = job;
  return {
    number,
    clientId,
    requestHash,
    name,
    priority,
    recipe,
    submittedAtMs,
    paused,
    started,
    end: end && [end.state, end.reason, end.atMs],
    steps: job.steps.map((step) => ({ ...step, units: step.units && imageOfUnits(step.units) })),
  };
}

function imageOfUnits(units: UnitTable): unknown {
  return {
    size: units.size,
    counts: units.counts,
    front: units.front,
    delayed: units.delayed.map(({ unit, notBeforeMs }) => [unit, notBeforeMs]),
    back: units.back,
    fresh: units.fresh,
    lostAttempts: units.lostAttempts,
    outputs: [...units.outputs],
    failures: [...units.failures].map(([unit, { kind, message, agentId }]) => {
      return [unit, kind, message, agentId];
    }),
    lostOn: [...units.lostOn],
    units: Array.from({ length: units.size }, (_, unit) => [
      units.stateOf(unit),
      units.attemptsOf(unit),
      units.failureCountOf(unit),
      units.lossCountOf(unit),
      units.agentOf(unit),
      units.tokenOf(unit),
    ]),
  };
}

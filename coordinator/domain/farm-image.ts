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
      booking: { ...agent.booking, vramBytes: [...agent.booking.vramBytes] },
    })),
    ready: [...farm.ready.classes()],
  });
}

function imageOfJob(job: Job): unknown {
  return {
    ...job,
    steps: job.steps.map((step) => ({ ...step, units: step.units && imageOfUnits(step.units) })),
  };
}

function imageOfUnits(units: UnitTable): unknown {
  return {
    size: units.size,
    counts: units.counts,
    front: units.front,
    delayed: units.delayed,
    back: units.back,
    fresh: units.fresh,
    lostAttempts: units.lostAttempts,
    outputs: [...units.outputs],
    failures: [...units.failures],
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

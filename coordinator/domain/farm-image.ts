/** A farm as text: two farms are equal if and only if their images are, byte for byte. */
import type { AccessToken, AgentKey } from './credentials.ts';
import type { Farm, Job } from './farm.ts';
import { imageOfModel } from './model.ts';
import type { UnitTable } from './unit-table.ts';

export function farmImage(farm: Farm): string {
  return JSON.stringify({
    farmId: farm.farmId,
    epoch: farm.epoch,
    lastCounter: farm.lastCounter,
    lastJob: farm.lastJob,
    jobs: [...farm.jobs.values()].map(imageOfJob),
    clientIds: [...farm.jobByClientId],
    leases: [...farm.leases.values()].map(({ slot, ...lease }) => [lease, slot.key]),
    lapsed: [...farm.lapsed.values()],
    agents: farm.agentByNumber.map((agent) => ({
      ...agent,
      key: agent.key && imageOfKey(agent.key),
      leases: [...agent.leases],
      slots: [...agent.slots.values()]
        .map(({ key, booked, held }) => [key, booked, held] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
      booking: {
        ...agent.booking,
        vramBytes: byKey(agent.booking.vramBytes),
        gpuShares: byKey(agent.booking.gpuShares),
      },
    })),
    ready: byKey(farm.ready.classes()).map(([key, owners]) => [key, byKey(owners)]),
    tickets: byKey(farm.tickets),
    owners: byKey(farm.owners).map(([, { name, weight, maxUnits, leases, priceMillis }]) => {
      return [name, weight, maxUnits, leases, priceMillis];
    }),
    tokens: [...farm.tokens.values()].map(imageOfToken),
    shutOutKeys: [...farm.shutOutKeys],
    quotas: [...farm.quotas].map(([name, { maxQueued, maxStoredBytes }]) => {
      return [name, maxQueued, maxStoredBytes];
    }),
    models: [...farm.models.values()].map(imageOfModel),
    archive: farm.archive.map((segment) => ({
      ...segment,
      clientIdHashes: [...segment.clientIdHashes],
    })),
    reigns: farm.reigns.map(({ epoch, id, firstSequence, acceptsLoss }) => {
      return [epoch, id, firstSequence, acceptsLoss];
    }),
    modelMemory: [...farm.modelMemory.values()].map((memory) => {
      const { sha256, provider, pixelBytes, baseBytes } = memory;
      return [sha256, provider, pixelBytes, baseBytes];
    }),
    learned: [...farm.learned.values()].map(({ kind, units, runMs, ram, vram }) => {
      const columns = [ram, vram].map((histogram) => {
        return histogram.map(({ bucket, count }) => [bucket, count]);
      });
      return [kind, units, runMs, ...columns];
    }),
    snapshots: farm.snapshots.map(({ sequence, hash }) => [sequence, hash]),
  });
}

function imageOfKey({ secretHash, tokenId, joinedAtMs, natsPublicKey }: AgentKey): unknown {
  return [secretHash, tokenId, joinedAtMs, natsPublicKey];
}

function imageOfToken(token: AccessToken): unknown {
  const { id, role, owner, label, secretHash, createdAtMs, expiresAtMs, usedAtMs } = token;
  return [id, role, owner, label, secretHash, createdAtMs, expiresAtMs, usedAtMs];
}

function byKey<T>(entries: ReadonlyMap<string, T>): [key: string, value: T][] {
  return [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** One job as plain values, its keys always in the same order. */
export function imageOfJob(job: Job): unknown {
  // Named one by one: the order of an object's keys must not depend on how it was made.
  const { number, clientId, requestHash, name, priority, recipe, submittedAtMs } = job;
  const { owner, maxUnits, eighths, paused, started, end } = job;
  return {
    number,
    clientId,
    requestHash,
    name,
    priority,
    recipe,
    submittedAtMs,
    failures: [job.failures.maxFailedUnits, job.failures.keepGoing],
    owner,
    maxUnits,
    eighths,
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
    checkpoints: [...units.checkpoints],
    growths: [...units.growths].map(([unit, { ramBytes, vramBytes }]) => {
      return [unit, ramBytes, vramBytes];
    }),
    copies: [...units.copies].map(([unit, { token, agent }]) => [unit, token, agent]),
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

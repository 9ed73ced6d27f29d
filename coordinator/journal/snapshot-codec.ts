/**
 * Snapshots as bytes: furrow.journal.v1.Snapshot and its SHA-256 behind it, so that one which is
 * damaged is known before anything is read out of it. Columns are little-endian on every machine.
 */
import { createHash } from 'node:crypto';
import type { ArchiveSegment as WireSegment } from '../../proto/gen/furrow/journal/v1/journal.ts';
import {
  JobImage,
  Snapshot,
  type LeaseImage,
  type ModelImage,
  type UnitsImage,
} from '../../proto/gen/furrow/journal/v1/snapshot.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { policyFromTerms, termsOfPolicy } from '../../proto/agent-policy.ts';
import type { ArchiveSegment } from '../domain/archive.ts';
import type { EndKind } from '../domain/facts.ts';
import type { JobEnd, LeaseRecord } from '../domain/farm.ts';
import type {
  FarmSnapshot,
  JobSnapshot,
  LeaseSnapshot,
  UnitsSnapshot,
} from '../domain/farm-snapshot.ts';
import type { FarmModel } from '../domain/model.ts';
import { roleFromWire } from './fact-codec.ts';
import { counterOf, epochOf, tokenOf } from '../domain/token.ts';
import type { Tail } from './chain.ts';
import { MANY_STEPS, packSteps, unpackSteps } from './step-columns.ts';

/** The farm as it was right after the commit that `tail` describes. */
export interface SnapshotAtTail {
  readonly farm: FarmSnapshot;
  readonly tail: Tail;
}

export function encodeSnapshot({ farm, tail }: SnapshotAtTail): Uint8Array {
  const content = Snapshot.encode({
    farmId: farm.farmId,
    epoch: farm.epoch,
    lastCounter: farm.lastCounter,
    lastJob: farm.lastJob,
    agents: farm.agents.map((agent) => {
      return { ...agent, policy: agent.policy && policyFromTerms(agent.policy) };
    }),
    jobs: farm.jobs.map(jobToWire),
    leases: farm.leases.map(leaseToWire),
    lapsed: farm.lapsed.map((lease) =>
      leaseToWire({ ...lease, waiting: false, booked: undefined }),
    ),
    reigns: farm.reigns,
    snapshots: farm.snapshots,
    learned: farm.learned,
    modelMemory: farm.modelMemory,
    archive: farm.archive.map(segmentToWire),
    tickets: farm.tickets,
    owners: farm.owners,
    tokens: farm.tokens,
    shutOutKeys: farm.shutOutKeys,
    quotas: farm.quotas,
    models: farm.models,
    sequence: tail.sequence,
    commitNumber: tail.number,
    commitHash: Buffer.from(tail.hash, 'hex'),
  }).finish();
  return Buffer.concat([content, checksumOf(content)]);
}

const CHECKSUM_BYTES = 32;

function checksumOf(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest();
}

/** FurrowError: data-loss SNAPSHOT_DAMAGED. */
export function decodeSnapshot(bytes: Uint8Array): SnapshotAtTail {
  const content = bytes.subarray(0, -CHECKSUM_BYTES);
  if (!checksumOf(content).equals(bytes.subarray(-CHECKSUM_BYTES))) {
    const message = 'a snapshot cannot be read: its checksum is another';
    throw new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message);
  }
  try {
    return snapshotFrom(Snapshot.decode(content));
  } catch (error) {
    if (error instanceof FurrowError) throw error;
    const message = `a snapshot cannot be read: ${messageOf(error)}`;
    throw new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message, { cause: error });
  }
}

function snapshotFrom(wire: Snapshot): SnapshotAtTail {
  const { farmId, epoch, lastCounter, lastJob, reigns, snapshots, tickets, owners } = wire;
  return {
    farm: {
      farmId,
      epoch,
      lastCounter,
      lastJob,
      agents: wire.agents.map((agent) => {
        const { policy, key } = agent;
        return { ...agent, key, policy: policy && termsOfPolicy(policy) };
      }),
      jobs: wire.jobs.map(jobFromWire),
      leases: wire.leases.map((lease) => {
        const { waiting, booked } = lease;
        return { ...leaseFromWire(lease), waiting, booked };
      }),
      lapsed: wire.lapsed.map(leaseFromWire),
      reigns,
      snapshots: snapshots.map((taken) => ({ type: 'SnapshotTaken', ...taken })),
      learned: wire.learned,
      modelMemory: wire.modelMemory,
      archive: wire.archive.map(segmentFromWire),
      tickets,
      owners,
      tokens: wire.tokens.map((token) => ({ ...token, role: roleFromWire(token.role) })),
      shutOutKeys: wire.shutOutKeys,
      quotas: wire.quotas,
      models: wire.models.map(modelFromWire),
    },
    tail: {
      farmId,
      epoch,
      reignId: reigns.at(-1)?.id ?? '',
      number: wire.commitNumber,
      sequence: wire.sequence,
      hash: wire.commitHash.toString('hex'),
    },
  };
}

function modelFromWire({ name, file, manifest, addedAtMs }: ModelImage): FarmModel {
  if (file === undefined || manifest === undefined) {
    const message = `a snapshot names the model ${name} without its parts`;
    throw new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message);
  }
  return { name, file, manifest, addedAtMs };
}

function segmentToWire(segment: ArchiveSegment): WireSegment {
  return { ...segment, clientIdHashes: [...segment.clientIdHashes] };
}

function segmentFromWire(segment: WireSegment): ArchiveSegment {
  const { name, ranges, index, images, clientIdHashes, removed } = segment;
  if (index === undefined || images === undefined) {
    const message = `a snapshot names the archive's segment ${name} without its parts`;
    throw new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', message);
  }
  return { name, ranges, index, images, clientIdHashes: Uint32Array.from(clientIdHashes), removed };
}

/** One job alone, as furrow.journal.v1.JobImage. */
export function encodeJobImage(job: JobSnapshot): Uint8Array {
  return JobImage.encode(jobToWire(job)).finish();
}

/** Throws when the bytes are none. */
export function decodeJobImage(bytes: Uint8Array): JobSnapshot {
  return jobFromWire(JobImage.decode(bytes));
}

function jobToWire(job: JobSnapshot): JobImage {
  const isLong = job.steps.length >= MANY_STEPS;
  const steps = job.steps.map(({ spec, units, pin }) => ({
    spec: isLong ? undefined : spec,
    units: units && unitsToWire(units),
    pin,
  }));
  const packedSteps = isLong ? packSteps(job.steps.map(({ spec }) => spec)) : undefined;
  return { ...job, steps, packedSteps };
}

function jobFromWire(job: Snapshot['jobs'][number]): JobSnapshot {
  const { end, steps, packedSteps, ...rest } = job;
  const specs = packedSteps && unpackSteps(packedSteps);
  return {
    ...rest,
    end: end && { ...end, state: end.state as JobEnd },
    steps: steps.map(({ spec: own, units, pin }, index) => {
      const spec = own ?? specs?.[index];
      if (spec === undefined) {
        throw new FurrowError('data-loss', 'SNAPSHOT_DAMAGED', 'a snapshot has a step of no kind');
      }
      return { spec, units: units && unitsFromWire(units), pin };
    }),
  };
}

function unitsToWire({ columns, ...units }: UnitsSnapshot): UnitsImage {
  return {
    ...units,
    states: bytesOf(columns.states),
    attempts: bytesOf(columns.attempts),
    failureCounts: bytesOf(columns.failureCounts),
    lossCounts: bytesOf(columns.lossCounts),
    agents: bytesOf(columns.agents),
    tokens: bytesOf(columns.tokens),
  };
}

function unitsFromWire(image: UnitsImage): UnitsSnapshot {
  const { states, attempts, failureCounts, lossCounts, agents, tokens, ...units } = image;
  return {
    ...units,
    columns: {
      states: new Uint8Array(copyOf(states)),
      attempts: new Uint16Array(copyOf(attempts)),
      failureCounts: new Uint8Array(copyOf(failureCounts)),
      lossCounts: new Uint8Array(copyOf(lossCounts)),
      agents: new Uint16Array(copyOf(agents)),
      tokens: new Float64Array(copyOf(tokens)),
    },
    failures: units.failures.map((failure) => ({ ...failure, kind: failure.kind as EndKind })),
  };
}

function leaseToWire({ token, ...lease }: LeaseSnapshot): LeaseImage {
  return { ...lease, tokenEpoch: epochOf(token), tokenCounter: counterOf(token) };
}

/** Key by key in the order of a lease made by `apply`: images compare byte for byte. */
function leaseFromWire(image: LeaseImage): LeaseRecord {
  return {
    token: tokenOf(image.tokenEpoch, image.tokenCounter),
    job: image.job,
    step: image.step,
    unit: image.unit,
    attempt: image.attempt,
    agentId: image.agentId,
    session: image.session,
    grantNumber: image.grantNumber,
    gpuIds: image.gpuIds,
  };
}

/** A view of the column's bytes; a protobuf writer copies it. All our machines are little-endian. */
function bytesOf(column: Uint8Array | Uint16Array | Float64Array): Buffer {
  return Buffer.from(column.buffer, column.byteOffset, column.byteLength);
}

/** Bytes on a boundary that wide columns need. */
function copyOf(bytes: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(bytes.byteLength);
  new Uint8Array(copy).set(bytes);
  return copy;
}

/** Whatever the store gives back: a commit, a snapshot, a segment, or an error that says which is damaged. */
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { captureFarm } from '../../../coordinator/domain/farm-snapshot.ts';
import { emptyFarm } from '../../../coordinator/domain/farm.ts';
import { epochOf } from '../../../coordinator/domain/token.ts';
import { decodeImage, decodeIndex } from '../../../coordinator/journal/archive-codec.ts';
import { decodeCommit, sealCommit } from '../../../coordinator/journal/commit-codec.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../coordinator/journal/snapshot-codec.ts';
import { ArchiveIndex } from '../../../proto/gen/furrow/journal/v1/archive.ts';
import { JobImage, Snapshot } from '../../../proto/gen/furrow/journal/v1/snapshot.ts';
import { decodeErrorDetails, encodeErrorDetails } from '../../../kit/error-details.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { arbitraryFactOf, FACT_TYPES } from '../../support/arbitrary-fact.ts';
import { damaged, FUZZ_TIMEOUT_MS, neverCrashes } from '../../support/fuzz.ts';

/** Whatever the generated types say of it. */
const odd = (fields: object): object => fields;

const commits = fc
  .array(fc.constantFrom(...FACT_TYPES).chain(arbitraryFactOf), { minLength: 1, maxLength: 3 })
  .map((facts) => {
    const granted = facts.find((fact) => fact.type === 'LeasesGranted');
    const epoch = granted === undefined ? 3 : epochOf(granted.firstToken);
    const kept = facts.filter(
      (fact) => fact.type !== 'LeasesGranted' || epochOf(fact.firstToken) === epoch,
    );
    const header = { farmId: 'farm', epoch, writerId: Buffer.alloc(16), number: 7 };
    return sealCommit({ ...header, previousHash: 'ab'.repeat(32), atMs: 1 }, kept).bytes;
  });

test(
  'commits',
  () => neverCrashes(damaged(commits), (bytes) => decodeCommit(bytes, 9), 1_500),
  FUZZ_TIMEOUT_MS,
);

const REIGN = { epoch: 3, id: 'c3', firstSequence: 6, acceptsLoss: true };
const tail = {
  farmId: 'farm',
  epoch: 3,
  reignId: 'c3',
  number: 7,
  sequence: 7,
  hash: 'ab'.repeat(32),
};

function emptySnapshot(): Uint8Array {
  const farm = Object.assign(emptyFarm(), { farmId: 'farm', epoch: 3, lastJob: 12 });
  farm.reigns.push(REIGN);
  return encodeSnapshot({ farm: captureFarm(farm), tail }).subarray(0, -32);
}

const jobImage = JobImage.encode(
  JobImage.fromPartial(
    odd({
      number: 1,
      name: 'job',
      steps: [
        {
          spec: { name: 'step', inputs: [], dependsOn: [] },
          units: { states: Buffer.alloc(3), attempts: Buffer.alloc(6), tokens: Buffer.alloc(24) },
        },
      ],
    }),
  ),
).finish();

const snapshots = fc.constantFrom(
  emptySnapshot(),
  Snapshot.encode(
    Snapshot.fromPartial(
      odd({
        farmId: 'farm',
        jobs: [JobImage.decode(jobImage)],
        leases: [{ job: 1, tokenEpoch: 3, tokenCounter: 1 }],
        archive: [{ name: 'segment' }],
        agents: [{ id: 'a', policy: { mode: 9, hours: [{ days: [9] }] } }],
      }),
    ),
  ).finish(),
);

/** As if whoever wrote it had meant it. */
const withChecksum = (content: Uint8Array): Buffer =>
  Buffer.concat([content, createHash('sha256').update(content).digest()]);

test(
  'snapshots, with a right checksum and without',
  () => {
    neverCrashes(damaged(snapshots), (bytes) => decodeSnapshot(withChecksum(bytes)), 1_500);
    neverCrashes(damaged(snapshots), decodeSnapshot);
  },
  FUZZ_TIMEOUT_MS,
);

test('a snapshot whose columns have half a cell is damaged, and said to be', () => {
  const job = JobImage.fromPartial(
    odd({
      steps: [{ spec: { name: 'step' }, units: { attempts: Buffer.alloc(3) } }],
    }),
  );
  const content = Snapshot.encode(
    Snapshot.fromPartial(odd({ farmId: 'farm', jobs: [job] })),
  ).finish();
  expect(() => decodeSnapshot(withChecksum(content))).toThrow(
    expect.objectContaining({ reason: 'SNAPSHOT_DAMAGED' }),
  );
});

const index = ArchiveIndex.encode(
  ArchiveIndex.fromPartial(
    odd({
      jobs: [{ number: 1, name: 'job', steps: [{ name: 's' }], imageOffset: 0, imageBytes: 9 }],
    }),
  ),
).finish();

test(
  'segments of the archive',
  () => {
    // They are held against their hashes before they are decoded: it is enough that this ends.
    const ends = (work: () => unknown): void => {
      try {
        work();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
      }
    };
    const images = damaged(fc.constant(jobImage));
    neverCrashes(fc.tuple(damaged(fc.constant(index)), images), ([bytes, image]) =>
      ends(() => decodeIndex(bytes).map((job) => decodeImage(image, job))),
    );
    neverCrashes(images, (image) =>
      ends(() => decodeImage(image, { ...decodeIndex(index)[0]!, imageBytes: image.length })),
    );
  },
  FUZZ_TIMEOUT_MS,
);

test('what a gRPC error says beside its status', () => {
  const details = fc.dictionary(fc.string(), fc.string()).map((details) => {
    return encodeErrorDetails(new FurrowError('conflict', 'REASON', 'message', { details }));
  });
  neverCrashes(damaged(details), decodeErrorDetails, 1_000);
});

import { brotliCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeCommit,
  hashOf,
  MAX_COMMIT_BYTES,
  measureFact,
  sealCommit,
} from '../../../../coordinator/journal/commit-codec.ts';
import type { Fact as DomainFact } from '../../../../coordinator/domain/facts.ts';
import { epochOf, tokenOf } from '../../../../coordinator/domain/token.ts';
import { Commit, Fact, JobSubmitted } from '../../../../proto/gen/furrow/journal/v1/journal.ts';
import { arbitraryFactOf, FACT_TYPES } from '../../../support/arbitrary-fact.ts';
import { folderFilms, stepsOfFolder } from '../../../support/folder-films.ts';

const HEADER = {
  farmId: 'farm',
  epoch: 3,
  writerId: Uint8Array.from({ length: 16 }, (_, i) => i),
  number: 7,
  previousHash: 'ab'.repeat(32),
  atMs: 1_700_000_000_123,
};
const CANCELLED: DomainFact = { type: 'JobCancelled', job: 4, reason: 'by hand', atMs: 12 };

describe('a fact', () => {
  test.each(FACT_TYPES)('%s comes back as it went in, and is measured exactly', (type) => {
    fc.assert(
      fc.property(arbitraryFactOf(type), (fact) => {
        const epoch = fact.type === 'LeasesGranted' ? epochOf(fact.firstToken) : HEADER.epoch;
        const header = { ...HEADER, epoch };
        const empty = sealCommit(header, []).bytes;
        const { bytes } = sealCommit(header, [fact]);
        expect(decodeCommit(bytes, 1).facts).toEqual([fact]);
        expect(measureFact(fact)).toBe(bytes.length - empty.length);
      }),
      { numRuns: 60 },
    );
  });

  test('that is long is packed, and measured exactly too', () => {
    const fact: DomainFact = { ...CANCELLED, reason: 'x'.repeat(300_000) };
    const empty = sealCommit(HEADER, []).bytes.length;
    const { bytes } = sealCommit(HEADER, [fact, CANCELLED]);
    expect(measureFact(fact) + measureFact(CANCELLED)).toBe(bytes.length - empty);
    expect(bytes.length).toBeLessThan(2_000);
    expect(decodeCommit(bytes, 1).facts).toEqual([fact, CANCELLED]);
  });

  test('that is longer than any may be is not packed: it is refused by its size', () => {
    const fact: DomainFact = { ...CANCELLED, reason: 'x'.repeat(4 * 2 ** 20) };
    expect(measureFact(fact)).toBeGreaterThan(4 * 2 ** 20);
  });
});

describe('a job of a folder', () => {
  const submitted = (films: number): DomainFact => ({
    type: 'JobSubmitted',
    job: 1,
    clientId: 'client',
    requestHash: 'ab'.repeat(32),
    name: 'films',
    priority: 0,
    recipe: 'folder',
    steps: stepsOfFolder(folderFilms(films)),
    atMs: 1_700_000_000_123,
  });

  test('of 2,000 films fits into a commit with room for longer names', () => {
    expect(measureFact(submitted(2_000))).toBeLessThan((MAX_COMMIT_BYTES / 2) * 0.7);
  }, 60_000);

  test('comes back', () => {
    const fact = submitted(60);
    const [back] = decodeCommit(sealCommit(HEADER, [fact]).bytes, 1).facts;
    // Fields that a recipe leaves out are there once they were stored.
    const plain = JobSubmitted.decode(JobSubmitted.encode(plainWire(fact)).finish());
    expect(back).toEqual({ type: 'JobSubmitted', ...withoutPacked(plain) });
  });

  test('has the same bytes whoever writes it down', () => {
    expect(sealCommit(HEADER, [submitted(50)]).hash).toBe(sealCommit(HEADER, [submitted(50)]).hash);
  });

  test('of a journal from before there were columns still comes back', () => {
    const plain = Fact.encode({ kind: { $case: 'jobSubmitted', value: plainWire(submitted(60)) } });
    const [back] = decodeCommit(commitOf(plain.finish()), 1).facts;
    expect(back).toMatchObject({ steps: { length: 301 } });
  });
});

const plainWire = (fact: DomainFact): JobSubmitted => {
  if (fact.type !== 'JobSubmitted') throw new Error(fact.type);
  const { type: _type, ...fields } = fact;
  return JobSubmitted.fromPartial(fields);
};
const withoutPacked = ({ packedSteps: _none, ...rest }: JobSubmitted): object => rest;

/** A commit with one fact, as it is. */
function commitOf(fact: Uint8Array): Uint8Array {
  const commit = Commit.decode(sealCommit(HEADER, []).bytes);
  return Commit.encode({ ...commit, facts: [Fact.decode(fact)] }).finish();
}

describe('a packed fact that is damaged or hostile', () => {
  const plain = Fact.encode({ kind: { $case: 'jobPaused', value: { job: 1, atMs: 2 } } }).finish();
  const packed = (bytes: Uint8Array, sizeBytes = bytes.length): Uint8Array =>
    Fact.encode({
      kind: { $case: 'packed', value: { brotli: brotliCompressSync(bytes), sizeBytes } },
    }).finish();

  test('is none of these when it is whole', () => {
    expect(decodeCommit(commitOf(packed(plain)), 1).facts).toEqual([
      { type: 'JobPaused', job: 1, atMs: 2 },
    ]);
  });

  test.each<[string, Uint8Array]>([
    ['larger than it says', packed(Buffer.alloc(64 * 2 ** 20), 1_000)],
    ['smaller than it says', packed(plain, 1_000)],
    ['larger than any may be', packed(plain, 33 * 2 ** 20)],
    ['packed twice', packed(packed(plain))],
    [
      'not compressed',
      Fact.encode({
        kind: { $case: 'packed', value: { brotli: Buffer.from('no'), sizeBytes: 2 } },
      }).finish(),
    ],
    ['no fact inside', packed(Buffer.from('\xff\xff\xff', 'latin1'))],
  ])('%s is damage, named with its sequence', (_what, fact) => {
    expect(() => decodeCommit(commitOf(fact), 42)).toThrow(/damaged at sequence 42 .*restore/);
  });

  test('of a later version is refused with the remedy', () => {
    // Field 900 of Fact, an empty message.
    expect(() => decodeCommit(commitOf(packed(Buffer.of(0xa2, 0x38, 0x00))), 1)).toThrow(
      /a kind of fact .*newer version/,
    );
  });
});

describe('a commit', () => {
  test('comes back with its header, and its hash is that of its bytes', () => {
    const { bytes, hash, number } = sealCommit(HEADER, [CANCELLED, CANCELLED]);
    const commit = decodeCommit(bytes, 9);
    expect(commit).toMatchObject({
      ...HEADER,
      writerId: Buffer.from(HEADER.writerId),
      sequence: 9,
    });
    expect(commit.facts).toEqual([CANCELLED, CANCELLED]);
    expect({ hash, number }).toEqual({ hash: hashOf(bytes), number: 7 });
    expect(commit.hash).toBe(hash);
  });

  test('has the very bytes that the generated code gives', () => {
    const { bytes } = sealCommit(HEADER, [CANCELLED, { type: 'JobPaused', job: 1, atMs: 2 }]);
    expect(Buffer.from(bytes)).toEqual(Buffer.from(Commit.encode(Commit.decode(bytes)).finish()));
  });

  test('does not take leases of another epoch: their tokens would be read wrong', () => {
    const granted: DomainFact = {
      type: 'LeasesGranted',
      agentId: 'a',
      session: 's',
      grantNumber: 1,
      job: 1,
      step: 0,
      firstToken: tokenOf(HEADER.epoch + 1, 1),
      units: [0],
      attempts: [1],
      gpuIds: [],
      waiting: false,
      copy: false,
      atMs: 1,
    };
    expect(() => sealCommit(HEADER, [granted])).toThrow('epoch');
  });

  test.each([
    ['no protobuf', Buffer.from('\xff\xff\xff\xff\xff', 'latin1')],
    ['nothing', Buffer.alloc(0)],
    ['half a commit', sealCommit(HEADER, [CANCELLED]).bytes.subarray(0, 40)],
  ])('that is %s is damage, named with its sequence', (_, bytes) => {
    expect(() => decodeCommit(bytes, 42)).toThrow(/damaged at sequence 42 .*restore/);
  });
});

test('a reign of the first version, whose fact says only its epoch, has its writer and its place', () => {
  const head = sealCommit(HEADER, []).bytes;
  // facts { epoch_started { epoch: 3, at_ms: 5 } }
  const bytes = Buffer.concat([head, Buffer.of(0x3a, 6, 0x12, 4, 0x08, 3, 0x10, 5)]);
  expect(decodeCommit(bytes, 9).facts).toEqual([
    {
      type: 'EpochStarted',
      epoch: 3,
      reignId: '000102030405060708090a0b0c0d0e0f',
      sequence: 9,
      acceptsLoss: false,
      atMs: 5,
    },
  ]);
});

describe('what a newer version wrote', () => {
  const tooNew = (fact: Buffer): (() => unknown) => {
    const head = sealCommit(HEADER, []).bytes;
    // facts = 7, length-delimited.
    const bytes = Buffer.concat([head, Buffer.of(0x3a, fact.length), fact]);
    return () => decodeCommit(bytes, 1);
  };

  test('a kind of fact is refused with the remedy', () => {
    // Field 900 of Fact, an empty message.
    expect(tooNew(Buffer.of(0xa2, 0x38, 0x00))).toThrow(/a kind of fact .*newer version/);
  });

  test.each([
    // JobSubmitted { steps { name: "s", task { <field 900> } } }
    ['a kind of task', Buffer.of(0x1a, 10, 0x3a, 8, 0x0a, 1, 0x73, 0x22, 3, 0xa2, 0x38, 0)],
    // LeaseEnded { kind: "eaten" }
    ['the end of a lease as eaten', Buffer.of(0x3a, 7, 0x32, 5, 0x65, 0x61, 0x74, 0x65, 0x6e)],
  ])('%s is refused with the remedy', (what, fact) => {
    expect(tooNew(fact)).toThrow(`the journal holds ${what} that this version`);
  });
});

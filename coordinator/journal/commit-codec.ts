/**
 * Commits as messages of the journal. A commit's hash is the SHA-256 of its message, and each commit
 * carries the hash of the one before: what was lost, doubled or altered breaks the chain.
 */
import assert from 'node:assert';
import { createHash } from 'node:crypto';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { Commit } from '../../proto/gen/furrow/journal/v1/journal.ts';
import type { Fact } from '../domain/facts.ts';
import { epochOf } from '../domain/token.ts';
import type { CommitRecord } from '../ports.ts';
import { encodeFact, fromWire } from './fact-codec.ts';

/** Facts of one commit may take so many bytes together. */
export const MAX_COMMIT_BYTES = 512 * 1024;

export interface CommitHeader {
  readonly farmId: string;
  readonly epoch: number;
  /** 16 bytes, random for each process. */
  readonly writerId: Uint8Array;
  /** From 1, without gaps. */
  readonly number: number;
  /** Lower-case hexadecimal; empty for the first. */
  readonly previousHash: string;
  readonly atMs: number;
}

/** A commit as it was read, with what the chain needs. */
export interface StoredCommit extends CommitRecord {
  readonly writerId: Uint8Array;
  readonly previousHash: string;
  readonly hash: string;
}

/** An encoded commit that can be sent, and sent again byte for byte. */
export interface SealedCommit {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly hash: string;
}

/** A fact is measured, then sealed: its bytes are kept in between. Facts never change. */
const encoded = new WeakMap<Fact, Uint8Array>();

/** Bytes that the fact takes in a commit, exactly. */
export function measureFact(fact: Fact): number {
  let bytes = encoded.get(fact);
  if (bytes === undefined) {
    bytes = encodeFact(fact);
    encoded.set(fact, bytes);
  }
  return FACTS_TAG.length + varint(bytes.length).length + bytes.length;
}

/** Granted tokens must be of the commit's epoch: a grant's fact stores only their counters. */
export function sealCommit(header: CommitHeader, facts: readonly Fact[]): SealedCommit {
  const head = Commit.encode({
    ...header,
    writerId: Buffer.from(header.writerId),
    previousHash: Buffer.from(header.previousHash, 'hex'),
    facts: [],
  }).finish();
  // Messages joined are messages merged: the facts follow the head as they are.
  const parts: Uint8Array[] = [head];
  for (const fact of facts) {
    const isOfEpoch = fact.type !== 'LeasesGranted' || epochOf(fact.firstToken) === header.epoch;
    assert(isOfEpoch, 'leases are granted in the epoch of their commit');
    const factBytes = encoded.get(fact) ?? encodeFact(fact);
    parts.push(FACTS_TAG, varint(factBytes.length), factBytes);
  }
  const bytes = Buffer.concat(parts);
  return { number: header.number, bytes, hash: hashOf(bytes) };
}

/**
 * FurrowError: data-loss JOURNAL_DAMAGED when the bytes are no commit; failed-precondition
 * JOURNAL_TOO_NEW.
 */
export function decodeCommit(bytes: Uint8Array, sequence: number): StoredCommit {
  const commit = parse(bytes, sequence);
  return {
    farmId: commit.farmId,
    epoch: commit.epoch,
    writerId: commit.writerId,
    number: commit.number,
    previousHash: commit.previousHash.toString('hex'),
    hash: hashOf(bytes),
    atMs: commit.atMs,
    sequence,
    facts: commit.facts.map((fact) => factFrom(fact, commit, sequence)),
  };
}

function factFrom(
  fact: Commit['facts'][number],
  { epoch, writerId }: Commit,
  sequence: number,
): Fact {
  try {
    return fromWire(fact, { epoch, writerId, sequence });
  } catch (error) {
    if (error instanceof FurrowError) throw error;
    throw damaged(sequence, messageOf(error));
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function damaged(sequence: number, what: string): FurrowError {
  const message = `the journal is damaged at sequence ${sequence} (${what}): restore the NATS store from a backup, or move it away to begin an empty farm`;
  return new FurrowError('data-loss', 'JOURNAL_DAMAGED', message);
}

function parse(bytes: Uint8Array, sequence: number): Commit {
  let commit: Commit;
  try {
    commit = Commit.decode(bytes);
  } catch (error) {
    throw damaged(sequence, `not a commit: ${messageOf(error)}`);
  }
  if (commit.farmId === '' || commit.number === 0 || commit.epoch === 0) {
    throw damaged(sequence, 'not a commit');
  }
  return commit;
}

/** Field 7, length-delimited: `facts` of Commit. A test holds it against the generated code. */
const FACTS_TAG = Uint8Array.of((7 << 3) | 2);

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

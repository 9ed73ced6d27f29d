/**
 * Fuzzing with fast-check: a few hundred inputs in a usual run; with FURROW_FUZZ_MS as many as fit into that
 * time, for each property. A failure prints its seed, and the smallest input that still fails.
 */
import * as fc from 'fast-check';
import { FurrowError } from '../../kit/furrow-error.ts';

const FUZZ_MS = Number(process.env['FURROW_FUZZ_MS'] ?? 0);

/** For tests that do nothing else. */
export const FUZZ_TIMEOUT_MS = 30_000 + FUZZ_MS * 4;

export function fuzzOptions(runs: number): fc.Parameters<unknown> {
  if (FUZZ_MS === 0) return { numRuns: runs };
  return { numRuns: Infinity, interruptAfterTimeLimit: FUZZ_MS, markInterruptAsFailure: false };
}

/** Runs `work`: it answers, or refuses with a FurrowError that is nobody's bug. */
function answersOrRefuses(work: () => unknown): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof FurrowError) || error.code === 'internal') throw error;
  }
}

/** Holds whatever `input` is: it answers, or refuses with a FurrowError. */
export function neverCrashes<T>(input: fc.Arbitrary<T>, work: (input: T) => unknown, runs = 300) {
  fc.assert(
    fc.property(input, (value) => answersOrRefuses(() => work(value))),
    fuzzOptions(runs) as fc.Parameters<[T]>,
  );
}

const randomBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

/** What is valid, with bits flipped, cut, lengthened, parts doubled or left out; and sheer noise. */
export function damaged(valid: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: 1_000_000 });
  const flips = fc.array(fc.tuple(at, fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 6,
  });
  const flipped = fc.tuple(valid, flips).map(([bytes, changes]) => {
    const copy = Buffer.from(bytes);
    for (const [place, bits] of changes) if (copy.length > 0) copy[place % copy.length]! ^= bits;
    return copy;
  });
  const cut = fc
    .tuple(valid, at)
    .map(([bytes, end]) => Buffer.from(bytes.subarray(0, end % (bytes.length + 1))));
  const spliced = fc.tuple(valid, valid, at, at).map(([one, other, here, there]) => {
    const head = one.subarray(0, here % (one.length + 1));
    return Buffer.concat([head, other.subarray(there % (other.length + 1))]);
  });
  const lengthened = fc
    .tuple(valid, randomBytes)
    .map(([bytes, more]) => Buffer.concat([bytes, more]));
  return fc.oneof(randomBytes, flipped, cut, spliced, lengthened);
}

/** The same for text: parts of valid ones, mixed with characters that parsers care for. */
export function damagedText(...valid: readonly string[]): fc.Arbitrary<string> {
  const noise = fc.string({ unit: 'binary', maxLength: 40 });
  const signs = fc.stringMatching(/^[-+:;,.=/\\[\]{}"'<>%&?# \n\r\t0-9a-z\0]{0,40}$/);
  const mixed = fc
    .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(), fc.oneof(noise, signs))
    .map(([text, from, length, more]) => {
      const start = from % (text.length + 1);
      return text.slice(0, start) + more + text.slice(start + (length % (text.length + 1)));
    });
  // What grows with the square of its length is seen here: the test takes too long.
  const long = fc
    .tuple(fc.constantFrom(...valid), fc.constantFrom('', ' ', ',', ';', '0', '-', '.'))
    .map(([text, between]) => Array<string>(500).fill(text).join(between));
  return fc.oneof(
    { weight: 6, arbitrary: mixed },
    { weight: 3, arbitrary: noise },
    { weight: 3, arbitrary: signs },
    { weight: 1, arbitrary: long },
  );
}

/** Any JSON; often one that is like `valid`, with values or keys replaced. */
export function damagedJson(valid: unknown): fc.Arbitrary<string> {
  const replaced = fc.tuple(fc.nat(), fc.jsonValue({ maxDepth: 2 })).map(([place, value]) => {
    let count = 0;
    const swap = (node: unknown): unknown => {
      count += 1;
      if (count - 1 === place % 40) return value;
      if (Array.isArray(node)) return node.map(swap);
      if (typeof node !== 'object' || node === null) return node;
      return Object.fromEntries(Object.entries(node).map(([key, each]) => [key, swap(each)]));
    };
    return JSON.stringify(swap(valid));
  });
  const nested = fc
    .integer({ min: 10, max: 50_000 })
    .map((depth) => '['.repeat(depth) + ']'.repeat(depth));
  return fc.oneof(
    { weight: 5, arbitrary: replaced },
    { weight: 5, arbitrary: damagedText(JSON.stringify(valid)) },
    { weight: 2, arbitrary: fc.json() },
    { weight: 1, arbitrary: nested },
  );
}

/**
 * Long facts, compressed. Above all a job's steps say the same again and again, and a commit must fit into a
 * message of NATS. Short ones stay as they are: they would gain little, and are what there is most of.
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import type { PackedFact } from '../../proto/gen/furrow/journal/v1/journal.ts';

/** From so many bytes on a fact is compressed. */
export const LONG_FACT_BYTES = 64 * 1024;
/** A longer fact is not written: what a job takes of the memory is bounded by what it takes here. */
const LONGEST_FACT_BYTES = 4 * 1024 * 1024;
/** Nor read, should a later version write longer ones: bytes that are damaged must not take all memory. */
const MOST_READ_BYTES = 32 * 1024 * 1024;

/** The best that it does in some tens of milliseconds. */
const QUALITY = 5;

/** Undefined when the fact is longer than any may be. */
export function packFact(fact: Uint8Array): PackedFact | undefined {
  const sizeBytes = fact.byteLength;
  if (sizeBytes > LONGEST_FACT_BYTES) return undefined;
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: sizeBytes,
  };
  return { brotli: brotliCompressSync(fact, { params }), sizeBytes };
}

/** Throws when the bytes are none, or more than what they are said to be. */
export function unpackFact({ brotli, sizeBytes }: PackedFact): Uint8Array {
  if (sizeBytes > MOST_READ_BYTES) throw new Error(`a fact of ${sizeBytes} bytes`);
  const fact = brotliDecompressSync(brotli, { maxOutputLength: Math.max(1, sizeBytes) });
  if (fact.byteLength === sizeBytes) return fact;
  throw new Error(`a fact of ${fact.byteLength} bytes that should have ${sizeBytes}`);
}

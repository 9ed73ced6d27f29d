/** Lists of files as blobs. The same list is the same blob: a step's units share it. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { FileList } from '../../proto/gen/furrow/work/v1/work.ts';
import type { File } from '../domain/task.ts';
import type { BlobStore } from '../ports.ts';

/**
 * Pinned for an hour, by which time the agent has read it or the unit is granted anew. Rejects as the
 * store does.
 */
export async function storeInputList(
  store: Pick<BlobStore, 'findMissing' | 'receive'>,
  files: readonly File[],
): Promise<File> {
  const bytes = Buffer.from(FileList.encode({ files }).finish());
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const blob = { sha256, sizeBytes: bytes.length };
  const [missing] = await store.findMissing([sha256]);
  if (missing !== undefined) await store.receive(blob, Readable.from([bytes]), 'result');
  return { name: 'inputs', ...blob };
}

/** A small output of a job, read into memory: a report, a table. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JOB_HEADER } from '../kit/blob-protocol.ts';
import { downloadBlob } from '../kit/blob-transfer.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext } from './command.ts';

const MAX_BYTES = 16 * 1024 * 1024;

/** FurrowError: data-loss OUTPUT_TOO_LARGE; those of the blob transfer. */
export async function readOutput(
  jobId: string,
  file: File,
  { blobs, signal }: CommandContext,
): Promise<string> {
  if (file.sizeBytes > MAX_BYTES) {
    const message = `${file.name} of ${jobId} is larger than any that furrow makes: fetch it instead`;
    throw new FurrowError('data-loss', 'OUTPUT_TOO_LARGE', message);
  }
  const folder = await mkdtemp(join(tmpdir(), 'furrow-output-'));
  try {
    const path = join(folder, file.sha256);
    // A token of one owner opens blobs of that owner's jobs.
    const target = Object.assign(await blobs(), { headers: { [JOB_HEADER]: jobId } });
    await downloadBlob(target, file, path, { signal });
    return await readFile(path, 'utf8');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Brings local files to the farm, so that a job can name them. */
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { join } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { furrowHome } from '../kit/furrow-home.ts';
import { uploadFile } from './blobs.ts';
import type { CommandContext } from './command.ts';
import type { LocalFile } from './local-files.ts';
import { openTransferView } from './output/transfer-view.ts';

const VERBS = { hashing: 'reading', uploading: 'sending', downloading: 'fetching' } as const;

/**
 * The files as the farm knows them, in the order given. A file that the farm has already is read but
 * not sent. FurrowError: those of the blob transfer; aborted UPLOAD_INTERRUPTED.
 */
export async function uploadFiles(
  files: readonly LocalFile[],
  context: CommandContext,
): Promise<File[]> {
  if (files.length === 0) return [];
  const { signal, out, environment } = context;
  const memoryDir = join(furrowHome(undefined, environment).root, 'uploads');
  // The farm is asked first: reading a large film only to learn that nobody is there is a poor joke.
  const target = await context.blobs();
  const view = openTransferView(out);
  try {
    const uploaded: File[] = [];
    for (const file of files) {
      const blob = await uploadFile(target, file.path, file.sizeBytes, {
        signal,
        memoryDir,
        onProgress: ({ phase, doneBytes, totalBytes }) =>
          view.show(VERBS[phase], file.name, doneBytes, totalBytes),
      });
      uploaded.push({ name: file.name, ...blob });
    }
    return uploaded;
  } catch (error) {
    if (!signal.aborted) throw error;
    const message = 'interrupted while sending: nothing was submitted';
    throw new FurrowError('aborted', 'UPLOAD_INTERRUPTED', message, { cause: error });
  } finally {
    view.close();
  }
}

/** Brings local files to the farm, so that a job can name them. */
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { uploadBlob } from '../kit/blob-transfer.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { sha256File } from '../kit/sha256-file.ts';
import type { CommandContext } from './command.ts';
import type { LocalFile } from './local-files.ts';
import { openTransferView } from './output/transfer-view.ts';

/**
 * The files as the farm knows them, in the order given. A file that the farm has already is read but
 * not sent. FurrowError: those of the blob transfer; invalid FILE_CHANGED when a file was written to
 * meanwhile; aborted UPLOAD_INTERRUPTED.
 */
export async function uploadFiles(
  files: readonly LocalFile[],
  context: CommandContext,
): Promise<File[]> {
  if (files.length === 0) return [];
  const { signal, out } = context;
  // The farm is asked first: reading a large film only to learn that nobody is there is a poor joke.
  const target = await context.blobs();
  const view = openTransferView(out);
  try {
    const uploaded: File[] = [];
    for (const file of files) {
      const blob = await sha256File(file.path, {
        signal,
        onProgress: (bytes) => view.show('reading', file.name, bytes, file.sizeBytes),
      });
      if (blob.sizeBytes === 0) throw changedMeanwhile(file);
      await uploadBlob(target, file.path, blob, {
        signal,
        onProgress: (bytes) => view.show('sending', file.name, bytes, blob.sizeBytes),
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

function changedMeanwhile(file: LocalFile): FurrowError {
  const message = `'${file.path}' was emptied while it was read`;
  return new FurrowError('invalid', 'FILE_CHANGED', message);
}

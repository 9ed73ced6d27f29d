/** Brings local files to the farm, so that a job can name them. */
import type { File } from '../proto/gen/furrow/v1/step.ts';
import { join } from 'node:path';
import { FurrowError } from '../kit/furrow-error.ts';
import { furrowHome } from '../kit/furrow-home.ts';
import type { HttpTarget } from '../kit/http-request.ts';
import { uploadFile } from './blobs.ts';
import type { CommandContext } from './command.ts';
import type { LocalFile } from './local-files.ts';
import { lostFile } from './lost-file.ts';
import { openTransferView, type TransferView } from './output/transfer-view.ts';
import { uploadMany } from './upload-many.ts';

/** So many small files are sent side by side. */
const MANY = 8;
const SMALL_BYTES = 16 * 1024 * 1024;

const isSmall = ({ sizeBytes }: LocalFile): boolean => sizeBytes <= SMALL_BYTES;

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
    const small = files.filter(isSmall);
    const many = small.length >= MANY;
    const sentTogether = many ? await sendTogether(target, small, context, view) : [];
    const together = new Map(small.map((file, index) => [file, sentTogether[index]]));
    const uploaded: File[] = [];
    for (const file of files) {
      const sent = together.get(file);
      if (sent !== undefined) {
        uploaded.push(sent);
        continue;
      }
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
    if (!signal.aborted) throw lostFile(error, files);
    const message = 'interrupted while sending: nothing was submitted';
    throw new FurrowError('aborted', 'UPLOAD_INTERRUPTED', message, { cause: error });
  } finally {
    view.close();
  }
}

function sendTogether(
  target: HttpTarget,
  files: readonly LocalFile[],
  { signal }: CommandContext,
  view: TransferView,
): Promise<readonly File[]> {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const name = `${files.length.toLocaleString('en')} files`;
  return uploadMany(target, files, {
    signal,
    onProgress: (_files, bytes) => view.show('sending', name, bytes, totalBytes),
  });
}

/**
 * Brings many small files to the farm: read some ahead, asked about by the hundred, sent side by side. What the
 * farm has is not sent; files are known to it for an hour, so that another run of the program goes on.
 */
import { findMissing, uploadBlob } from '../kit/blob-transfer.ts';
import type { HttpTarget } from '../kit/http-request.ts';
import { sha256File } from '../kit/sha256-file.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { LocalFile } from './local-files.ts';

export interface UploadManyOptions {
  readonly signal: AbortSignal;
  /** Files and bytes that are done. */
  readonly onProgress: (files: number, bytes: number) => void;
}

/** The farm is asked about so many at once. */
const ASKED_AT_ONCE = 512;
const READ_AT_ONCE = 4;
const SENT_AT_ONCE = 12;

/** The files as the farm knows them, in the order given. Rejects as `uploadBlob` does. */
export async function uploadMany(
  target: HttpTarget,
  files: readonly LocalFile[],
  options: UploadManyOptions,
): Promise<readonly File[]> {
  const { signal, onProgress } = options;
  const uploaded: File[] = [];
  let [done, bytes] = [0, 0];
  const tell = (sizeBytes: number): void => {
    done += 1;
    bytes += sizeBytes;
    onProgress(done, bytes);
  };
  const groups = Array.from({ length: Math.ceil(files.length / ASKED_AT_ONCE) }, (_, index) =>
    files.slice(index * ASKED_AT_ONCE, (index + 1) * ASKED_AT_ONCE),
  );
  let reading = readAll(groups[0] ?? [], signal);
  for (const [index, group] of groups.entries()) {
    const read = await reading;
    // The next ones are read while these are sent.
    reading = readAll(groups[index + 1] ?? [], signal);
    // Told when it is waited for.
    reading.catch(() => undefined);
    const missing = new Set(await findMissing(target, unique(read), { signal }));
    const sent = new Set<string>();
    await eachOf(read.entries(), SENT_AT_ONCE, async ([at, file]) => {
      // The same content twice is sent once.
      if (missing.has(file.sha256) && !sent.has(file.sha256)) {
        sent.add(file.sha256);
        await uploadBlob(target, group[at]!.path, file, { signal, isMissing: true });
      }
      tell(file.sizeBytes);
    });
    uploaded.push(...read);
  }
  return uploaded;
}

async function readAll(files: readonly LocalFile[], signal: AbortSignal): Promise<readonly File[]> {
  const read: File[] = Array.from({ length: files.length });
  await eachOf(files.entries(), READ_AT_ONCE, async ([at, { path, name }]) => {
    read[at] = { name, ...(await sha256File(path, { signal })) };
  });
  return read;
}

function unique(files: readonly File[]): readonly string[] {
  return [...new Set(files.map(({ sha256 }) => sha256))];
}

/** So many at a time. Settles when nothing is under way any more; rejects with the first error. */
async function eachOf<T>(
  items: Iterable<T>,
  atOnce: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  let failed = false;
  const runSome = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && !failed; next = queue.next()) {
      try {
        await run(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: atOnce }, runSome));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

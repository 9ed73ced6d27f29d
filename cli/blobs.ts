/** Files of the user to the farm and back, with progress; both go on where they were cut. */
import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { downloadBlob, uploadBlob } from '../kit/blob-transfer.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { HttpTarget } from '../kit/http-request.ts';
import { sha256File, type BlobName } from '../kit/sha256-file.ts';
import type { UploadMemory } from '../kit/tus-upload.ts';
import type { FarmClient } from './client.ts';

/** Where a farm takes and gives blobs: its leader, whoever that is by the time of a request. */
export async function blobTarget(client: FarmClient): Promise<HttpTarget> {
  const ask = async (): Promise<string> => {
    const { blobUrl } = await client.call(client.farm.getStatus.bind(client.farm), {});
    return blobUrl;
  };
  const target = {
    url: await ask(),
    token: client.token,
    trust: client.trust,
    lookAgain: async () => {
      target.url = await ask();
    },
  };
  return target;
}

export interface FileProgress {
  readonly phase: 'hashing' | 'uploading' | 'downloading';
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface FileTransferOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: FileProgress) => void;
}

export interface UploadFileOptions extends FileTransferOptions {
  /** Folder that remembers begun uploads, so that another run of the program goes on. */
  readonly memoryDir: string;
}

/**
 * Hashes a file and brings it to the farm unless it is there; the farm then keeps it for an hour, so
 * that a submit can name it. FurrowError: data-loss FILE_CHANGED, exhausted DISK_FULL, unavailable …
 */
export async function uploadFile(
  target: HttpTarget,
  path: string,
  sizeBytes: number,
  options: UploadFileOptions,
): Promise<BlobName> {
  const { signal, onProgress } = options;
  const tell = (phase: FileProgress['phase']) => (doneBytes: number) =>
    onProgress?.({ phase, doneBytes, totalBytes: sizeBytes });
  const blob = await sha256File(path, { signal, onProgress: tell('hashing') });
  const memory = uploadsInFolder(options.memoryDir, target);
  await uploadBlob(target, path, blob, { signal, onProgress: tell('uploading'), memory });
  return blob;
}

export interface DownloadFileOptions extends FileTransferOptions {
  /** Replace a file that is there. */
  readonly replace: boolean;
}

/**
 * Brings a blob to `path`, which appears whole, verified and on disk, or not at all. What a cut
 * download brought stays beside it (`.furrow-<digest>.part`) and is gone on with. FurrowError: conflict
 * TARGET_EXISTS unless `replace`.
 */
export async function downloadFile(
  target: HttpTarget,
  blob: BlobName,
  path: string,
  options: DownloadFileOptions,
): Promise<void> {
  const { signal, onProgress, replace } = options;
  const folder = dirname(path);
  const part = partOf(path, blob);
  await downloadBlob(target, blob, part, {
    signal,
    onProgress: (doneBytes) =>
      onProgress?.({ phase: 'downloading', doneBytes, totalBytes: blob.sizeBytes }),
  });
  // Private while it grew; from here on as any file that the user makes.
  await chmod(part, 0o666 & ~process.umask());
  if (replace) await rename(part, path);
  else await renameToNew(part, path);
  await syncFolder(folder);
}

/** Where a file grows until it is whole, beside its place. */
export function partOf(path: string, { sha256 }: BlobName): string {
  return join(dirname(path), `.furrow-${sha256.slice(0, 16)}.part`);
}

/** A link never replaces a file, whoever made it since we looked. */
async function renameToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      const message = `'${to}' is there already: choose another name, or give --force to replace it`;
      throw new FurrowError('conflict', 'TARGET_EXISTS', message, { cause: error });
    }
    // File systems without links (FAT, some network shares): as near as they allow.
    const claim = await open(to, 'wx');
    await claim.close();
    await rename(from, to);
    return;
  }
  await rm(from);
}

export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** One small file for each begun upload; lost or damaged ones only cost sending again. */
function uploadsInFolder(folder: string, target: HttpTarget): UploadMemory {
  const fileOf = (sha256: string): string => join(folder, sha256);
  return {
    get: async (sha256) => {
      const text = await readFile(fileOf(sha256), 'utf8').catch(() => '');
      return text.startsWith(`${target.url}/`) ? text.trim() : undefined;
    },
    set: async (sha256, url) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const file = await open(fileOf(sha256), 'w', 0o600);
      try {
        await file.writeFile(`${url}\n`);
      } finally {
        await file.close();
      }
    },
    delete: (sha256) => rm(fileOf(sha256), { force: true }),
  };
}

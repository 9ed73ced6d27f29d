/**
 * Resumable uploads (tus 1.0) at /uploads, for blobs too large to send twice. The metadata names the
 * blob (`sha256`) and may say what for (`purpose`). The last PATCH is answered when the blob is whole,
 * verified, on disk and in the store; wrong bytes get 460 and are deleted. What is already in the store
 * is refused with 409 BLOB_EXISTS: there is nothing to send.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { ERRORS, MemoryLocker, Server as TusServer, type ServerOptions } from '@tus/server';
import { PURPOSE_HEADER, UPLOADS_PATH } from '../../kit/blob-protocol.ts';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import { purposeOf } from '../blobs/disk-space.ts';
import type { BlobAccess } from '../blob-access.ts';
import type { HttpDoor } from '../doors.ts';
import type { BlobStore } from '../ports.ts';
import { bodyOf, statusOf, toFurrowError } from './http-error.ts';
import { appendToUpload } from './append-to-upload.ts';
import { HalfMadeUploads } from './half-made-uploads.ts';
import type { Route } from './route.ts';
import { blobOf, UploadFiles } from './upload-files.ts';
import { whileSilent } from './while-silent.ts';

const KEEP_UNFINISHED_MS = 24 * 3600 * 1000;
const CLEAN_EVERY_MS = 3600 * 1000;

export interface Uploads {
  readonly routes: readonly Route[];
  close(): void;
}

export async function openUploads(
  store: BlobStore,
  log: Logger,
  access: BlobAccess | undefined,
  mostHalfMade?: number,
): Promise<Uploads> {
  // In the store's own folder, and so on its disk: a finished upload is renamed, not copied.
  const directory = join(store.directory, 'uploads');
  const files = new UploadFiles(directory, store);
  const locker = new MemoryLocker();
  const tus = new TusServer({
    path: UPLOADS_PATH,
    datastore: files,
    locker,
    relativeLocation: true,
    allowedOrigins: [],
    ...hooks(store, files, new HalfMadeUploads(directory, mostHalfMade)),
  });
  const clean = (): void => {
    deleteStale(directory, KEEP_UNFINISHED_MS).catch((error: unknown) => {
      log.warn({ err: error }, 'cleaning unfinished uploads failed');
    });
  };
  clean();
  const timer = setInterval(clean, CLEAN_EVERY_MS);
  timer.unref();
  const byTus: Route['handle'] = async (request, response) => {
    await tus.handle(request, response);
  };
  const append: Route['handle'] = (request, response, path) =>
    appendToUpload(files, locker, path.slice(UPLOADS_PATH.length + 1), request, response).catch(
      (thrown: unknown) => {
        throw isOfTus(thrown) ? tusError(thrown) : thrown;
      },
    );
  const at = (door: HttpDoor, path: string | RegExp, handle = byTus): Route => ({
    door,
    path,
    isLeaders: true,
    handle: async (request, response, asked, principal) => {
      if (principal !== undefined) access?.mustWrite(principal);
      await handle(request, response, asked, principal);
    },
  });
  const one = /^\/uploads\/[0-9a-f]{32}$/;
  return {
    routes: [
      at('POST /uploads', UPLOADS_PATH),
      at('OPTIONS /uploads', UPLOADS_PATH),
      at('HEAD /uploads/ID', one),
      at('PATCH /uploads/ID', one, append),
      at('DELETE /uploads/ID', one),
    ],
    close: () => clearInterval(timer),
  };
}

type Hooks = Pick<
  ServerOptions,
  'onUploadCreate' | 'onUploadFinish' | 'onIncomingRequest' | 'onResponseError'
>;

function hooks(store: BlobStore, files: UploadFiles, halfMade: HalfMadeUploads): Hooks {
  return {
    onUploadCreate: async (request, upload) => {
      const blob = blobOf(upload.metadata?.['sha256'], upload.size);
      if ((await store.findMissing([blob.sha256])).length === 0) {
        throw new FurrowError('conflict', 'BLOB_EXISTS', `blob ${blob.sha256} is here already`);
      }
      const purpose = purposeOf(request.headers.get(PURPOSE_HEADER));
      (await store.space.admit(blob.sizeBytes, purpose)).end();
      await halfMade.admit();
      return { metadata: { sha256: blob.sha256, purpose } };
    },
    // A crash or a failing disk may have come between an upload's last byte and its place in the store.
    // Nobody is ever shown an upload that is complete and yet not stored: it is finished first.
    onIncomingRequest: async (request, id) => {
      if (request.method !== 'HEAD') return;
      await whileSilent(socketOf(request), () => files.finishIfWhole(id));
    },
    onUploadFinish: async (request, upload) => {
      // Reading a large upload once more, or bringing it to a bucket, moves no byte on this wire.
      await whileSilent(socketOf(request), () => files.finish(upload.id));
      return {};
    },
    onResponseError: (_request, thrown) => {
      const error = isOfTus(thrown) ? tusError(thrown) : toFurrowError(thrown);
      const status_code = isOfTus(thrown) ? thrown.status_code : statusOf(error);
      return { status_code, body: bodyOf(error) };
    },
  };
}

type TusRequest = Parameters<NonNullable<ServerOptions['onUploadFinish']>>[0];

function socketOf(request: TusRequest): Socket | undefined {
  return request.runtime?.node?.req.socket;
}

interface TusRefusal {
  readonly status_code: number;
  readonly body: string;
}

const isOfTus = (thrown: unknown): thrown is TusRefusal =>
  typeof thrown === 'object' && thrown !== null && 'status_code' in thrown;

/** tus's own refusals: wrong offset, unknown upload and the like. */
function tusError(thrown: TusRefusal): FurrowError {
  const message = messageOf(thrown.body);
  switch (thrown.status_code) {
    case 404:
    case 410:
      return new FurrowError('not-found', 'UPLOAD_MISSING', `${message}: start the upload again`);
    case 409:
      return new FurrowError('conflict', 'UPLOAD_OFFSET', message);
    case ERRORS.ERR_LOCK_TIMEOUT.status_code:
      return new FurrowError('unavailable', 'UPLOAD_BUSY', message);
    default:
      return new FurrowError('invalid', 'BAD_UPLOAD', message);
  }
}

/** Deletes uploads, data and record, that got no byte for so long. */
async function deleteStale(directory: string, olderThanMs: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const dataPath = path.replace(/\.json$/, '');
    const data = await stat(dataPath).catch(() => stat(path).catch(() => undefined));
    if (data !== undefined && Date.now() - data.mtimeMs > olderThanMs) {
      await rm(path, { force: true });
    }
  }
}

/** BlobService: blobs for clients that speak only gRPC, over the same store as HTTP. */
import { Readable } from 'node:stream';
import type {
  BlobHeader,
  BlobServiceServer,
  DownloadBlobRequest,
  DownloadBlobResponse,
  FindMissingBlobsRequest,
  FindMissingBlobsResponse,
  UploadBlobRequest,
  UploadBlobResponse,
} from '../../proto/gen/furrow/v1/blob_service.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { isSha256 } from '../../kit/sha256-file.ts';
import type { BlobAccess } from '../blob-access.ts';
import { atPace } from '../limits/at-pace.ts';
import type { BlobStore } from '../ports.ts';
import { clientStreaming, serverStreaming, unary, type Gate, type Send } from './handlers.ts';

const MAX_HASHES = 10_000;

/**
 * `mustLead` throws on a standby, which can promise of no blob that it stays: its store may not be the
 * farm's, and what it was asked for the leader may delete.
 */
export function blobService(
  store: BlobStore,
  gate: Gate,
  mustLead: () => void,
  access?: BlobAccess,
): BlobServiceServer {
  return {
    findMissingBlobs: unary<FindMissingBlobsRequest, FindMissingBlobsResponse>(
      gate,
      '/furrow.v1.BlobService/FindMissingBlobs',
      async (request) => {
        mustLead();
        return { missing: await findMissing(store, request.sha256) };
      },
    ),
    uploadBlob: clientStreaming<UploadBlobRequest, UploadBlobResponse>(
      gate,
      '/furrow.v1.BlobService/UploadBlob',
      (stream, principal) => {
        mustLead();
        access?.mustWrite(principal);
        return upload(store, stream);
      },
    ),
    downloadBlob: serverStreaming<DownloadBlobRequest, DownloadBlobResponse>(
      gate,
      '/furrow.v1.BlobService/DownloadBlob',
      async (request, send, signal, principal) => {
        await access?.mustRead(principal, request.sha256, request.jobId);
        await download(store, request, send, signal);
      },
    ),
  };
}

async function findMissing(store: BlobStore, hashes: readonly string[]): Promise<string[]> {
  if (hashes.length > MAX_HASHES) {
    const message = `at most ${MAX_HASHES} blobs may be asked for at once: ask in parts`;
    throw new FurrowError('invalid', 'TOO_MANY_BLOBS', message);
  }
  for (const sha256 of hashes) checkName(sha256);
  return store.findMissing(hashes);
}

async function upload(store: BlobStore, stream: Readable): Promise<UploadBlobResponse> {
  // Pulled message by message: a sender is never faster than the disk.
  const sent = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<UploadBlobRequest>;
  const messages = atPace(sent, ({ part }) => (part?.$case === 'chunk' ? part.value.length : 0));
  const header = await readHeader(messages);
  const blob = { sha256: header.sha256, sizeBytes: header.sizeBytes };
  try {
    await store.receive(blob, Readable.from(chunksOf(messages), { objectMode: false }), 'client');
  } catch (error) {
    throw stream.destroyed && !(error instanceof FurrowError) ? callerLeft(error) : error;
  }
  return blob;
}

/** Nobody is there to be told, and nothing of ours went wrong. */
function callerLeft(cause: unknown): FurrowError {
  const message = 'the caller left before the blob was whole';
  return new FurrowError('aborted', 'CALLER_LEFT', message, { cause });
}

async function readHeader(messages: AsyncIterator<UploadBlobRequest>): Promise<BlobHeader> {
  const first = await messages.next().catch((error: unknown) => {
    throw error instanceof FurrowError ? error : callerLeft(error);
  });
  const part = first.done === true ? undefined : first.value.part;
  if (part?.$case !== 'header') {
    throw new FurrowError('invalid', 'HEADER_MISSING', 'the first message must be the header');
  }
  checkName(part.value.sha256);
  return part.value;
}

async function* chunksOf(messages: AsyncIterator<UploadBlobRequest>): AsyncGenerator<Buffer> {
  for (;;) {
    const next = await messages.next();
    if (next.done === true) return;
    if (next.value.part?.$case !== 'chunk') {
      throw new FurrowError('invalid', 'CHUNK_EXPECTED', 'after the header come chunks only');
    }
    if (next.value.part.value.length > 0) yield next.value.part.value;
  }
}

async function download(
  store: BlobStore,
  { sha256, offset }: DownloadBlobRequest,
  send: Send<DownloadBlobResponse>,
  signal: AbortSignal,
): Promise<void> {
  checkName(sha256);
  const sizeBytes = (await store.sizeOf(sha256)) ?? 0;
  const stream = await store.read(sha256, { start: offset, end: Infinity });
  if (offset > sizeBytes) {
    stream.destroy();
    const message = `blob ${sha256} has ${sizeBytes} bytes: ${offset} is behind its end`;
    throw new FurrowError('invalid', 'OFFSET_BEHIND_END', message);
  }
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (signal.aborted) return;
    await send({ chunk });
  }
}

function checkName(sha256: string): void {
  if (isSha256(sha256)) return;
  const message = 'a blob is named by its SHA-256 in 64 lower-case hexadecimal digits';
  throw new FurrowError('invalid', 'BAD_BLOB_NAME', message);
}

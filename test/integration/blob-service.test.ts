import { credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tokenAccess } from '../support/access.ts';
import { blobService } from '../../coordinator/grpc/blob-service.ts';
import {
  BlobServiceClient,
  BlobServiceService,
  type DownloadBlobResponse,
  type UploadBlobRequest,
} from '../../proto/gen/furrow/v1/blob_service.ts';
import {
  content,
  expectSame,
  openStore,
  silentLog,
  temporaryFolder,
  TOKEN,
} from '../support/blobs.ts';

const MIB = 1024 * 1024;

async function serve() {
  const store = await openStore(await temporaryFolder());
  const server = new Server();
  const gate = { access: tokenAccess(TOKEN), log: silentLog };
  server.addService(
    BlobServiceService,
    blobService(store, gate, () => undefined),
  );
  const port = await new Promise<number>((resolve, reject) => {
    const insecure = ServerCredentials.createInsecure();
    server.bindAsync('127.0.0.1:0', insecure, (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  const client = new BlobServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => {
    client.close();
    server.forceShutdown();
  });
  return { store, client };
}

function allowed(): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${TOKEN}`);
  return metadata;
}

const header = (sha256: string, sizeBytes: number): UploadBlobRequest => ({
  part: { $case: 'header', value: { sha256, sizeBytes } },
});
const chunk = (value: Buffer): UploadBlobRequest => ({ part: { $case: 'chunk', value } });

function upload(client: BlobServiceClient, messages: readonly UploadBlobRequest[]) {
  return new Promise<unknown>((resolve, reject) => {
    const call = client.uploadBlob(allowed(), (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
    for (const message of messages) call.write(message);
    call.end();
  });
}

async function download(client: BlobServiceClient, sha256: string, offset: number) {
  const chunks: Buffer[] = [];
  const call = client.downloadBlob({ sha256, offset, jobId: '' }, allowed());
  for await (const { chunk } of call as AsyncIterable<DownloadBlobResponse>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function findMissing(client: BlobServiceClient, sha256: readonly string[], metadata = allowed()) {
  return new Promise<readonly string[]>((resolve, reject) => {
    client.findMissingBlobs({ sha256 }, metadata, (error, response) => {
      if (error) reject(error);
      else resolve(response.missing);
    });
  });
}

describe('BlobService', () => {
  it('stores and reads a blob, from an offset too, and names what is missing', async () => {
    const { client } = await serve();
    const film = content(3 * MIB + 5);
    const { sha256, sizeBytes } = film.blob;
    expect(await findMissing(client, [sha256])).toEqual([sha256]);
    const chunks = [0, 1, 2, 3].map((n) => chunk(film.bytes.subarray(n * MIB, (n + 1) * MIB)));
    expect(await upload(client, [header(sha256, sizeBytes), ...chunks])).toEqual(film.blob);
    expect(await findMissing(client, [sha256])).toEqual([]);
    expectSame(await download(client, sha256, 0), film.bytes);
    expectSame(await download(client, sha256, 2 * MIB + 1), film.bytes.subarray(2 * MIB + 1));
    expect(await download(client, sha256, sizeBytes)).toHaveLength(0);
  });

  it('refuses wrong bytes, a missing header, bad names and unknown blobs', async () => {
    const { client, store } = await serve();
    const { blob } = content(10);
    const refused = (details: RegExp) => ({ details: expect.stringMatching(details) as string });
    const wrong = upload(client, [header(blob.sha256, 10), chunk(Buffer.alloc(10))]);
    await expect(wrong).rejects.toMatchObject(refused(/digest/));
    await expect(upload(client, [chunk(Buffer.alloc(10))])).rejects.toMatchObject(
      refused(/header/),
    );
    await expect(upload(client, [])).rejects.toMatchObject(refused(/header/));
    await expect(download(client, '../../etc', 0)).rejects.toMatchObject(refused(/SHA-256/));
    await expect(download(client, blob.sha256, 0)).rejects.toMatchObject(refused(/no blob/));
    await expect(findMissing(client, ['x'])).rejects.toMatchObject(refused(/SHA-256/));
    expect(await store.sizeOf(blob.sha256)).toBeUndefined();
  });

  it('asks for the token', async () => {
    const { client } = await serve();
    const asked = findMissing(client, [], new Metadata());
    await expect(asked).rejects.toMatchObject({ code: 16 });
  });
});

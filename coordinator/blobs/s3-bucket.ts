/**
 * One bucket of an S3-compatible service: requests in our words, errors in ours. The client library
 * signs the digest of every body it sends, so that the service refuses what the network changed, and
 * tries again, with growing pauses, what may pass.
 */
import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';

export interface S3Settings {
  readonly bucket: string;
  /** Before every key; empty, or with a slash at its end. */
  readonly prefix: string;
  /** Undefined: AWS itself. */
  readonly endpoint: string | undefined;
  /** Undefined: as the AWS tools find it. */
  readonly region: string | undefined;
  /** http://host/bucket instead of http://bucket.host. */
  readonly isPathStyle: boolean;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface Part {
  readonly ETag: string;
  readonly PartNumber: number;
}

interface UnfinishedUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly begunMs: number;
}

const ATTEMPTS = 3;
const CONNECT_TIMEOUT_MS = 3_000;
/** A connection on which no byte moves for so long is given up. */
const IDLE_TIMEOUT_MS = 30_000;
/** Reads last as long as their readers take; questions must not queue behind them. */
const MAX_SOCKETS = 1_024;

export class S3Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Such as s3://films/furrow/ at http://nas:9000. */
  readonly location: string;

  constructor({ bucket, prefix, endpoint, region, isPathStyle }: S3Settings) {
    // The library tells on every start that it will not support this Node for ever; which version of
    // it we use is settled in package.json.
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
    this.#bucket = bucket;
    this.location = `s3://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
    this.#client = new S3Client({
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint }),
      forcePathStyle: isPathStyle,
      maxAttempts: ATTEMPTS,
      // Many compatible services do not know the checksums that are sent by default since 2025.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: IDLE_TIMEOUT_MS,
        httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
        httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
      },
    });
  }

  close(): void {
    this.#client.destroy();
  }

  /** Asks for the bucket itself. */
  async probe(): Promise<void> {
    await this.#ask(() => this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket })));
  }

  /** Within the service; up to 5 GiB. False when there is no such object. */
  async copy(from: string, to: string): Promise<boolean> {
    const CopySource = `${this.#bucket}/${from.split('/').map(encodeURIComponent).join('/')}`;
    const copied = await this.#askFor(() =>
      this.#client.send(new CopyObjectCommand({ Bucket: this.#bucket, Key: to, CopySource })),
    );
    return copied !== undefined;
  }

  /** Undefined when there is no such object. `range` as in the Range header. */
  async read(key: string, range: string | undefined): Promise<Readable | undefined> {
    const found = await this.#askFor(() =>
      this.#client.send(
        new GetObjectCommand({ Bucket: this.#bucket, Key: key, ...(range && { Range: range }) }),
      ),
    );
    // In Node the library's body is the response itself.
    return found?.Body as Readable | undefined;
  }

  async put(key: string, bytes: Buffer, sha256: string): Promise<void> {
    await this.#ask(() =>
      this.#client.send(
        new PutObjectCommand({
          Bucket: this.#bucket,
          Key: key,
          Body: bytes,
          ContentLength: bytes.length,
          ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
        }),
      ),
    );
  }

  async beginUpload(key: string): Promise<string> {
    const begun = await this.#ask(() =>
      this.#client.send(new CreateMultipartUploadCommand({ Bucket: this.#bucket, Key: key })),
    );
    return begun.UploadId ?? '';
  }

  async putPart(key: string, UploadId: string, number: number, bytes: Buffer): Promise<Part> {
    const stored = await this.#ask(() =>
      this.#client.send(
        new UploadPartCommand({
          Bucket: this.#bucket,
          Key: key,
          UploadId,
          PartNumber: number,
          Body: bytes,
          ContentLength: bytes.length,
        }),
      ),
    );
    return { ETag: stored.ETag ?? '', PartNumber: number };
  }

  async completeUpload(key: string, UploadId: string, parts: readonly Part[]): Promise<void> {
    await this.#ask(() =>
      this.#client.send(
        new CompleteMultipartUploadCommand({
          Bucket: this.#bucket,
          Key: key,
          UploadId,
          MultipartUpload: { Parts: [...parts] },
        }),
      ),
    );
  }

  async abortUpload(key: string, UploadId: string): Promise<void> {
    await this.#askFor(() =>
      this.#client.send(
        new AbortMultipartUploadCommand({ Bucket: this.#bucket, Key: key, UploadId }),
      ),
    );
  }

  async delete(key: string): Promise<void> {
    await this.#askFor(() =>
      this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key })),
    );
  }

  /** A page at a time: a bucket may hold millions. */
  async *list(prefix: string): AsyncGenerator<ListedObject> {
    for (let after: string | undefined, isMore = true; isMore;) {
      const page = await this.#ask(() =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            ...(after && { ContinuationToken: after }),
          }),
        ),
      );
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        yield { key: Key, sizeBytes: Size, modifiedMs: LastModified?.getTime() ?? 0 };
      }
      after = page.NextContinuationToken;
      isMore = page.IsTruncated === true && after !== undefined;
    }
  }

  /** Uploads that were begun and neither completed nor aborted: the first thousand. */
  async unfinishedUploads(prefix: string): Promise<readonly UnfinishedUpload[]> {
    const listing = await this.#ask(() =>
      this.#client.send(new ListMultipartUploadsCommand({ Bucket: this.#bucket, Prefix: prefix })),
    );
    return (listing.Uploads ?? []).map(({ Key = '', UploadId = '', Initiated }) => ({
      key: Key,
      uploadId: UploadId,
      begunMs: Initiated?.getTime() ?? 0,
    }));
  }

  /** Undefined when what was asked for does not exist in the bucket. */
  async #askFor<T>(request: () => Promise<T>): Promise<T | undefined> {
    try {
      return await request();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw this.#ours(error);
    }
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throw this.#ours(error);
    }
  }

  /**
   * Whatever the service's reason: the bytes are neither lost nor wrong, and a later try may do, also
   * after somebody mended a key or a policy. So agents keep their results.
   */
  #ours(error: unknown): FurrowError {
    const { $metadata, name } = (error ?? {}) as Partial<S3ServiceException>;
    const status = $metadata?.httpStatusCode;
    const said = [status, name, messageOf(error)].filter(
      (word) => word !== undefined && word !== '',
    );
    const isRefusal = status !== undefined && status >= 400 && status < 500 && status !== 429;
    const message = isRefusal
      ? `the blob store ${this.location} refuses (${said.join(' ')}): check its bucket, keys and policy`
      : `the blob store ${this.location} does not answer (${said.join(' ')}): what was sent is kept by the sender; try again later`;
    const reason = isRefusal ? 'BLOB_STORE_REFUSED' : 'BLOB_STORE_UNREACHABLE';
    return new FurrowError('unavailable', reason, message, { cause: error });
  }
}

function isNotFound(error: unknown): boolean {
  if (!(error instanceof S3ServiceException)) return false;
  if (error.name === 'NoSuchBucket') return false;
  return error.$metadata.httpStatusCode === 404;
}

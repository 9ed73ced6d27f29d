/** A file from an address on the web to the disk of this machine, never more than is allowed. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { HashingWriter } from '../kit/hashing-writer.ts';
import type { BlobName } from '../kit/sha256-file.ts';

const MOST_REDIRECTS = 5;

export interface FetchUrlOptions {
  readonly maxBytes: number;
  /** Plain http, too, where nobody vouches for what comes. */
  readonly allowHttp: boolean;
  readonly signal: AbortSignal;
  /** `total` is 0 while nobody said it. */
  readonly onProgress: (done: number, total: number) => void;
}

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** The last part of its path, decoded; empty when it has none. */
export function nameInUrl(url: string): string {
  const last = new URL(url).pathname.split('/').at(-1) ?? '';
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/**
 * Writes what the address gives to `path`, a new file. FurrowError: invalid URL_INVALID, URL_NOT_SAFE,
 * DOWNLOAD_TOO_LARGE; unavailable DOWNLOAD_FAILED.
 */
export async function fetchUrl(
  url: string,
  path: string,
  options: FetchUrlOptions,
): Promise<BlobName> {
  const response = await answerOf(url, options);
  const total = Number(response.headers.get('content-length') ?? 0);
  if (total > options.maxBytes) throw tooLarge(url, options.maxBytes);
  const hash = createHash('sha256');
  const handle = await open(path, 'wx', 0o600);
  let sizeBytes = 0;
  try {
    const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        sizeBytes += chunk.length;
        if (sizeBytes > options.maxBytes) throw tooLarge(url, options.maxBytes);
        options.onProgress(sizeBytes, Math.max(total, sizeBytes));
        yield chunk;
      }
    };
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    const writer = new HashingWriter(handle, hash, 0, false);
    await pipeline(body, counted, writer, { signal: options.signal });
  } catch (error) {
    if (error instanceof FurrowError) throw error;
    if (options.signal.aborted) throw options.signal.reason;
    throw failed(url, `it broke off after ${sizeBytes} bytes (${causeOf(error)})`, error);
  } finally {
    await handle.close();
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}

/** Follows redirects itself: none may leave what is allowed. */
async function answerOf(first: string, options: FetchUrlOptions): Promise<Response> {
  let url = parse(first);
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
    if (url.protocol !== 'https:' && !(options.allowHttp && url.protocol === 'http:')) {
      const message = `${url.href} is not https, so that nobody vouches for what comes: use https, or say --allow-http and give --sha256`;
      throw new FurrowError('invalid', 'URL_NOT_SAFE', message);
    }
    const init = { redirect: 'manual', signal: options.signal } as const;
    const response = await fetch(url, init).catch((error: unknown) => {
      if (options.signal.aborted) throw options.signal.reason;
      throw failed(url.href, causeOf(error), error);
    });
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      url = parse(location, url);
      continue;
    }
    if (response.ok && response.body !== null) return response;
    await response.body?.cancel();
    throw failed(url.href, `HTTP status ${response.status}`);
  }
  throw failed(first, `more than ${MOST_REDIRECTS} redirects`);
}

function parse(text: string, base?: URL): URL {
  try {
    return new URL(text, base);
  } catch {
    throw new FurrowError('invalid', 'URL_INVALID', `${JSON.stringify(text)} is no address`);
  }
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return messageOf(cause ?? error);
}

function tooLarge(url: string, maxBytes: number): FurrowError {
  const message = `${url} is larger than ${maxBytes} bytes: allow more with --max-size`;
  return new FurrowError('invalid', 'DOWNLOAD_TOO_LARGE', message);
}

function failed(url: string, why: string, cause?: unknown): FurrowError {
  return new FurrowError('unavailable', 'DOWNLOAD_FAILED', `cannot fetch ${url}: ${why}`, {
    cause,
  });
}

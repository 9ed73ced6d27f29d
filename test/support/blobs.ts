/** Blobs for tests: a folder that goes away, content with its name, a store, a server. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { pino } from 'pino';
import { tokenAccess } from './access.ts';
import {
  openDiskStore,
  type DiskStore,
  type DiskStoreOptions,
} from '../../coordinator/blobs/disk-store.ts';
import { startHttpServer, type HttpServerOptions } from '../../coordinator/http/server.ts';
import { NetworkLimits } from '../../coordinator/limits/network-limits.ts';
import { systemClock } from '../../kit/clock.ts';
import type { HttpTarget } from '../../kit/http-request.ts';
import type { BlobName } from '../../kit/sha256-file.ts';

export const silentLog = pino({ level: 'silent' });
export const TOKEN = 'test-token';
const PLENTY = 1024 ** 4;

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-blobs-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export interface Content {
  readonly bytes: Buffer;
  readonly blob: BlobName;
}

export function content(bytes: Buffer | number): Content {
  const data = typeof bytes === 'number' ? randomBytes(bytes) : bytes;
  const sha256 = createHash('sha256').update(data).digest('hex');
  return { bytes: data, blob: { sha256, sizeBytes: data.length } };
}

/** By hand: toEqual looks at millions of bytes one by one. */
export function expectSame(found: Buffer, wanted: Buffer): void {
  expect(content(found).blob).toEqual(content(wanted).blob);
}

/** What every open file's methods are called on. */
export async function fileMethods(): Promise<FileHandle> {
  const handle = await open(process.execPath, 'r');
  await handle.close();
  return Object.getPrototypeOf(handle) as FileHandle;
}

/** As a disk that did not take what was written; the system says so once. */
export const lostBytes = (): Error =>
  Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });

/** Random content in a file. */
export async function contentFile(
  folder: string,
  sizeBytes: number,
): Promise<Content & { path: string }> {
  const made = content(sizeBytes);
  const path = join(folder, made.blob.sha256.slice(0, 8));
  await writeFile(path, made.bytes);
  return { ...made, path };
}

export function openStore(
  directory: string,
  options: Partial<DiskStoreOptions> = {},
): Promise<DiskStore> {
  return openDiskStore({
    directory,
    clock: systemClock,
    log: silentLog,
    measureSpace: () => Promise.resolve({ freeBytes: PLENTY, totalBytes: PLENTY }),
    ...options,
  });
}

export interface BlobServer {
  readonly store: DiskStore;
  readonly target: HttpTarget;
  readonly close: () => Promise<void>;
}

export async function startBlobServer(
  directory: string,
  options: Partial<DiskStoreOptions & HttpServerOptions> = {},
): Promise<BlobServer> {
  const store = await openStore(directory, options);
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    access: tokenAccess(TOKEN),
    limits: new NetworkLimits({}, silentLog),
    log: silentLog,
    health: () => ({ healthy: true }),
    mustLead: () => {},
    ...options,
    store,
  });
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= server.close(0));
  onTestFinished(close);
  return { store, target: { url: server.url, token: TOKEN }, close };
}

/**
 * A blob up to the farm and down from it, hashed on both ends and flushed, against the same bytes
 * through a bare node:http server in the same run.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { downloadBlob, uploadBlob } from '../../kit/blob-transfer.ts';
import { IO_CHUNK_BYTES, sha256File } from '../../kit/sha256-file.ts';
import { BenchFarm, type BenchOptions } from './bench-farm.ts';
import { atLeast, percentile, plain, type Figure } from './figure.ts';

const ROUNDS = 3;
const REACH = 0.8;
const MIB = 1024 * 1024;

export async function measureBlobs(options: BenchOptions, mebibytes: number): Promise<Figure[]> {
  const farm = await BenchFarm.start(options);
  const target = { url: farm.httpUrl, token: farm.token };
  const folder = farm.home.root;
  const source = join(folder, 'source');
  const copy = join(folder, 'copy');
  const bare = await BareServer.start(join(folder, 'bare'));
  const timesMs = { up: [], down: [], bareUp: [], bareDown: [] } as Record<string, number[]>;
  const time = async (what: string, run: () => Promise<unknown>): Promise<void> => {
    const startMs = performance.now();
    await run();
    timesMs[what]?.push(performance.now() - startMs);
  };
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      await writeFile(source, Buffer.alloc(mebibytes * MIB, randomBytes(MIB)));
      // The name of a blob is known before it is sent: agents and clients hash what they made.
      const blob = await sha256File(source);
      await time('bareUp', () => bare.upload(source, blob.sizeBytes));
      await time('up', () => uploadBlob(target, source, blob));
      await time('bareDown', () => bare.download(copy));
      await rm(copy);
      await time('down', () => downloadBlob(target, blob, copy));
      await rm(copy);
    }
  } finally {
    bare.stop();
    await farm.close();
  }
  const rate = (what: string): number => (mebibytes / percentile(timesMs[what] ?? [], 0.5)) * 1000;
  return [
    plain('blobs.upload', rate('up'), 'MiB/s'),
    atLeast('blobs.upload_against_bare', rate('up') / rate('bareUp'), '', REACH),
    plain('blobs.download', rate('down'), 'MiB/s'),
    atLeast('blobs.download_against_bare', rate('down') / rate('bareDown'), '', REACH),
  ];
}

/** The bare server in a process of its own, as the coordinator is. */
class BareServer {
  readonly stop: () => void;
  readonly #port: number;

  private constructor(port: number, stop: () => void) {
    this.#port = port;
    this.stop = stop;
  }

  static async start(path: string): Promise<BareServer> {
    const main = join(import.meta.dirname, 'bare-http-server.js');
    const child = spawn(process.execPath, [main, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return new BareServer(Number(port), () => void child.kill());
  }

  async upload(path: string, sizeBytes: number): Promise<void> {
    const sent = this.#request('PUT', { 'content-length': sizeBytes });
    await pipeline(createReadStream(path, { highWaterMark: IO_CHUNK_BYTES }), sent.call);
    (await sent.response).resume();
  }

  async download(path: string): Promise<void> {
    const { call, response } = this.#request('GET', {});
    call.end();
    await pipeline(await response, createWriteStream(path));
    const file = await open(path, 'r');
    await file.sync();
    await file.close();
  }

  #request(method: string, headers: Record<string, number>) {
    const call = request({ host: '127.0.0.1', port: this.#port, method, headers });
    const response = once(call, 'response').then(([first]) => first as IncomingMessage);
    return { call, response };
  }
}

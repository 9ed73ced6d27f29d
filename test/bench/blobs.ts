/**
 * A blob up to the farm and down from it, hashed on both ends and flushed, against the same bytes
 * through a bare node:http server in the same run. The machine and its disk are not equally fast all the
 * time: each transfer is held against the bare one right before or after it, who goes first changes
 * with every round, and the ratio in the middle counts.
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

const ROUNDS = 8;
const TLS_ROUNDS = 4;
const REACH = 0.8;
const MIB = 1024 * 1024;

/** Milliseconds that the same bytes took each way. */
interface Pair {
  readonly oursMs: number;
  readonly bareMs: number;
}

/** As the bare server speaks, and encrypted as a farm is unless somebody asks for less. */
export async function measureBlobs(options: BenchOptions, mebibytes: number): Promise<Figure[]> {
  const plaintext = await measureOver(options, mebibytes, ['--plaintext'], ROUNDS);
  const tls = await measureOver(options, mebibytes, [], TLS_ROUNDS);
  return [
    ...figuresOf('upload', plaintext.up, mebibytes, atLeast),
    ...figuresOf('download', plaintext.down, mebibytes, atLeast),
    ...figuresOf('tls.upload', tls.up, mebibytes, plain),
    ...figuresOf('tls.download', tls.down, mebibytes, plain),
  ];
}

async function measureOver(
  options: BenchOptions,
  mebibytes: number,
  flags: readonly string[],
  rounds: number,
): Promise<{ readonly up: readonly Pair[]; readonly down: readonly Pair[] }> {
  const farm = await BenchFarm.start(options, flags);
  const target = { url: farm.httpUrl, token: farm.token, trust: farm.trust };
  const folder = farm.home.root;
  const [source, copy, kept] = ['source', 'copy', 'bare'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const bare = await BareServer.start(kept);
  const up: Pair[] = [];
  const down: Pair[] = [];
  try {
    for (let round = 0; round < rounds; round += 1) {
      await writeRandom(source, mebibytes);
      // The name of a blob is known before it is sent: agents and clients hash what they made.
      const blob = await sha256File(source);
      const isOursFirst = round % 2 === 1;
      up.push(
        await timeBoth(folder, isOursFirst, {
          ours: () => uploadBlob(target, source, blob),
          bare: () => bare.upload(source, blob.sizeBytes),
        }),
      );
      down.push(
        await timeBoth(folder, isOursFirst, {
          ours: () => downloadBlob(target, blob, copy),
          bare: () => bare.download(copy),
          after: () => rm(copy),
        }),
      );
      await rm(kept);
    }
  } finally {
    bare.stop();
    await farm.close();
  }
  return { up, down };
}

type Work = () => Promise<unknown>;

async function timeBoth(
  folder: string,
  isOursFirst: boolean,
  run: { readonly ours: Work; readonly bare: Work; readonly after?: Work },
): Promise<Pair> {
  const time = async (work: Work): Promise<number> => {
    await settle(folder);
    const startMs = performance.now();
    await work();
    const tookMs = performance.now() - startMs;
    await run.after?.();
    return tookMs;
  };
  if (isOursFirst) return { oursMs: await time(run.ours), bareMs: await time(run.bare) };
  return { bareMs: await time(run.bare), oursMs: await time(run.ours) };
}

/** What one transfer left behind, garbage and deleted files, is not to cost the next. */
async function settle(folder: string): Promise<void> {
  globalThis.gc?.();
  const handle = await open(folder, 'r');
  await handle.sync();
  await handle.close();
}

function figuresOf(
  what: string,
  pairs: readonly Pair[],
  mebibytes: number,
  ratio: (name: string, value: number, unit: string, reach: number) => Figure,
): Figure[] {
  const middle = (of: (pair: Pair) => number): number => percentile(pairs.map(of), 0.5);
  return [
    plain(
      `blobs.${what}`,
      middle(({ oursMs }) => (mebibytes / oursMs) * 1000),
      'MiB/s',
    ),
    plain(
      `blobs.${what}_bare`,
      middle(({ bareMs }) => (mebibytes / bareMs) * 1000),
      'MiB/s',
    ),
    ratio(
      `blobs.${what}_against_bare`,
      middle(({ oursMs, bareMs }) => bareMs / oursMs),
      '',
      REACH,
    ),
  ];
}

/** Flushed, so that the disk is idle afterwards. */
async function writeRandom(path: string, mebibytes: number): Promise<void> {
  const bytes = randomBytes(MIB);
  await writeFile(
    path,
    Array.from({ length: mebibytes }, () => bytes),
    { flush: true },
  );
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
    // Who waits for it hears of it, but the sending may have failed before.
    response.catch(() => undefined);
    return { call, response };
  }
}

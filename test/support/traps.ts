/**
 * What a hostile film would reach for: a server that counts who connects, and a pipe full of bytes that
 * are gone once somebody has read them.
 */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const BAIT = Buffer.from('the secret of the house\n'.repeat(40));

export class Traps {
  /** Path of the pipe. */
  readonly secret: string;
  readonly url: string;
  readonly #folder: string;
  readonly #pipe: FileHandle;
  readonly #server: Server;
  #connections = 0;

  private constructor(folder: string, secret: string, pipe: FileHandle, server: Server) {
    this.#folder = folder;
    this.secret = secret;
    this.#pipe = pipe;
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => {
      this.#connections += 1;
      socket.destroy();
    });
  }

  static async set(): Promise<Traps> {
    const folder = await mkdtemp(join(tmpdir(), 'furrow-traps-'));
    // An ending that playlists may name.
    const secret = join(folder, 'secret.ts');
    await promisify(execFile)('mkfifo', [secret]);
    // Held for both ways, so that neither we nor a reader waits for the other.
    const pipe = await open(secret, constants.O_RDWR | constants.O_NONBLOCK);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const traps = new Traps(folder, secret, pipe, server);
    await traps.#bait();
    return traps;
  }

  /** What was touched since the last time, such as `['file', 'network']`; sets the traps again. */
  async sprung(): Promise<string[]> {
    const touched: string[] = [];
    const { bytesRead } = await this.#pipe
      .read(Buffer.alloc(BAIT.length * 2), 0, BAIT.length * 2, null)
      .catch(() => ({ bytesRead: 0 }));
    if (bytesRead !== BAIT.length) touched.push('file');
    if (this.#connections > 0) touched.push('network');
    this.#connections = 0;
    await this.#bait();
    return touched;
  }

  /** For after each test. */
  async refuseSprung(): Promise<void> {
    const touched = await this.sprung();
    if (touched.length > 0) throw new Error(`it reached for: ${touched.join(', ')}`);
  }

  async close(): Promise<void> {
    await this.#pipe.close();
    await new Promise((closed) => this.#server.close(closed));
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #bait(): Promise<void> {
    await this.#pipe.write(BAIT);
  }
}

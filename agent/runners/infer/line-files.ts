/** Files of lines, read and written as they come: results may be larger than memory. */
import { once } from 'node:events';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';

/** The lines of these files, one after another. */
export async function* linesOf(paths: readonly string[]): AsyncGenerator<string> {
  for (const path of paths) {
    yield* createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  }
}

const WRITE_CHARACTERS = 256 * 1024;

export class LineFile {
  readonly #stream: WriteStream;
  #text = '';

  constructor(path: string) {
    this.#stream = createWriteStream(path);
    // Told by the write that waits, or by the end.
    this.#stream.on('error', () => undefined);
  }

  /** Waits where the disk is slower. Rejects with what the disk says. */
  async write(text: string): Promise<void> {
    this.#text += text;
    if (this.#text.length < WRITE_CHARACTERS) return;
    await this.#flush();
  }

  /** Rejects with what the disk says. */
  async end(): Promise<void> {
    await this.#flush();
    this.#stream.end();
    await finished(this.#stream);
  }

  async #flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '' && !this.#stream.write(text)) await once(this.#stream, 'drain');
  }
}

/** Splits a stream of bytes into lines. What a line has beyond the limit is cut off. */
import { StringDecoder } from 'node:string_decoder';

/** In UTF-16 units. */
const LINE_LIMIT = 8192;

export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  readonly #onLine: (line: string) => void;
  readonly #limit: number;
  #partial = '';

  /** `limit`: of a line, in UTF-16 units. */
  constructor(onLine: (line: string) => void, limit = LINE_LIMIT) {
    this.#onLine = onLine;
    this.#limit = limit;
  }

  push(chunk: Uint8Array): void {
    // A carriage return ends a line too: that is how programs redraw their progress.
    const pieces = this.#decoder.write(chunk).split(/\r\n|\r|\n/);
    const last = pieces.pop() ?? '';
    for (const piece of pieces) {
      this.#extend(piece);
      this.#flush();
    }
    this.#extend(last);
  }

  /** The stream ended: what is left is a line. */
  end(): void {
    this.#extend(this.#decoder.end());
    if (this.#partial !== '') this.#flush();
  }

  #extend(text: string): void {
    const room = this.#limit - this.#partial.length;
    if (room > 0) this.#partial += text.slice(0, room);
  }

  #flush(): void {
    const line = this.#partial;
    this.#partial = '';
    if (line !== '') this.#onLine(line);
  }
}

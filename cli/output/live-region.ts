/**
 * The last lines of a terminal, drawn over in place, with ordinary lines scrolling off above them.
 * Every change is one write, so that nothing flickers; a narrowed window, which wraps what was drawn,
 * is taken into account. The cursor is hidden while the region is open and always given back.
 */
import type { WriteStream } from 'node:tty';
import { textWidth } from './text-width.ts';

/** What a region needs of a terminal. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): unknown;
}

/** The terminal behind a stream; undefined when it is none, or one that cannot move its cursor. */
export function terminalOf(
  stream: WriteStream,
  environment: NodeJS.ProcessEnv,
): Terminal | undefined {
  return stream.isTTY && environment['TERM'] !== 'dumb' ? stream : undefined;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';
const CLEAR_TO_END = '\u001b[K';

export class LiveRegion {
  readonly #terminal: Terminal;
  /** Widths of the lines on the screen now. */
  #drawn: number[] = [];
  #cursorHidden = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Shows `lines` in place of what the region showed, under `above`, which stays for good. */
  draw(lines: readonly string[], above: readonly string[] = []): void {
    const text = [...above, ...lines].map((line) => `${line}${CLEAR_TO_END}\n`).join('');
    const hide = this.#cursorHidden ? '' : HIDE_CURSOR;
    this.#cursorHidden = true;
    this.#terminal.write(`${hide}${this.#toTop()}${text}${CLEAR_BELOW}`);
    this.#drawn = lines.map(textWidth);
  }

  /** Leaves what is on the screen, or takes it away, and gives the cursor back. */
  close(end: 'keep' | 'clear'): void {
    const clear = end === 'clear' ? `${this.#toTop()}${CLEAR_BELOW}` : '';
    if (this.#cursorHidden) this.#terminal.write(`${clear}${SHOW_CURSOR}`);
    this.#cursorHidden = false;
    this.#drawn = [];
  }

  #toTop(): string {
    const columns = Math.max(1, this.#terminal.columns);
    const rows = this.#drawn.reduce(
      (sum, width) => sum + Math.max(1, Math.ceil(width / columns)),
      0,
    );
    // A window made lower has pushed the top lines out of reach.
    const up = Math.min(rows, Math.max(0, this.#terminal.rows - 1));
    return up > 0 ? `\r\u001b[${up}A` : '\r';
  }
}

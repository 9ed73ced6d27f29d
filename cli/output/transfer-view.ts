/**
 * Progress of reading, sending or fetching bytes: one line, drawn over in place, on standard error of
 * a terminal; nothing elsewhere.
 */
import { formatBytes, formatFraction } from './format.ts';
import { LiveRegion } from './live-region.ts';
import type { Output } from './output.ts';
import { barText } from './render-progress.ts';
import type { Style } from './style.ts';
import { cutText, printable, textWidth } from './text-width.ts';

export interface TransferView {
  /** `verb` is what goes on: reading, sending, fetching. */
  show(verb: string, name: string, doneBytes: number, totalBytes: number): void;
  close(): void;
}

const FRAME_MS = 100;
/** Over so long a time the rate is taken: steady, and yet quick to show a stall. */
const RATE_WINDOW_MS = 3_000;

export function openTransferView(out: Output): TransferView {
  const terminal = out.json || out.quiet ? undefined : out.noteTerminal;
  if (!terminal) return { show: () => undefined, close: () => undefined };
  const region = new LiveRegion(terminal);
  let samples: { atMs: number; bytes: number }[] = [];
  let shown = '';
  let drawnAtMs = -Infinity;
  return {
    show(verb, name, doneBytes, totalBytes) {
      const nowMs = performance.now();
      const key = `${verb} ${name}`;
      if (key !== shown) samples = [];
      samples.push({ atMs: nowMs, bytes: doneBytes });
      if (key === shown && nowMs - drawnAtMs < FRAME_MS && doneBytes < totalBytes) return;
      shown = key;
      drawnAtMs = nowMs;
      samples = samples.filter((sample) => nowMs - sample.atMs < RATE_WINDOW_MS);
      const transfer = { verb, name, doneBytes, totalBytes, bytesPerSecond: rateOf(samples) };
      region.draw([renderTransfer(transfer, terminal.columns, out.noteStyle)]);
    },
    close: () => region.close('clear'),
  };
}

function rateOf(samples: readonly { atMs: number; bytes: number }[]): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || last.atMs - first.atMs < 500) return undefined;
  return ((last.bytes - first.bytes) / (last.atMs - first.atMs)) * 1000;
}

interface Transfer {
  readonly verb: string;
  readonly name: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number | undefined;
}

/** `sending clip.mov  ██████░░░░  61%  1.2 GiB of 2.0 GiB  112 MiB/s`, as much of it as fits. */
export function renderTransfer(transfer: Transfer, columns: number, style: Style): string {
  const { verb, doneBytes, totalBytes, bytesPerSecond } = transfer;
  const fraction = totalBytes === 0 ? 1 : doneBytes / totalBytes;
  const percent = formatFraction(fraction).padStart(4);
  const amounts = `  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  const rate = bytesPerSecond === undefined ? '' : `  ${formatBytes(bytesPerSecond)}/s`;
  const label = cutText(`${verb} ${printable(transfer.name)}`, Math.max(12, columns - 42));
  let line = `${cutText(label, columns - percent.length - 2)}  `;
  const barColumns = Math.min(24, columns - textWidth(line) - percent.length - amounts.length - 1);
  if (barColumns >= 6) line += `${style.cyan(barText(fraction, barColumns, style))} `;
  line += percent;
  for (const part of [amounts, rate]) {
    if (textWidth(line) + part.length > columns) break;
    line += part;
  }
  return line;
}

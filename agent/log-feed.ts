/**
 * Lines that units print, on their way to NATS: batched, bounded, and honest about what was left out.
 * A unit that prints faster than it can be carried loses lines, never the agent's memory.
 */
import type { LogLines } from '../proto/gen/furrow/work/v1/work.ts';
import type { Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

const LINES_PER_BATCH = 500;
/** In UTF-16 units; three bytes each at most, below NATS's limit of 1 MiB for a message. */
const TEXT_PER_BATCH = 200 * 1024;

interface Buffered {
  readonly assignment: Assignment;
  lines: string[];
  text: number;
  leftOut: number;
}

export interface LogBatch {
  readonly assignment: Assignment;
  /** Printed lines that it stands for, those left out before included. */
  readonly printed: number;
  readonly message: LogLines;
}

export class LogFeed {
  readonly #agentId: string;
  readonly #buffers = new Map<TokenKey, Buffered>();

  constructor(agentId: string) {
    this.#agentId = agentId;
  }

  add(assignment: Assignment, line: string): void {
    const buffer = this.#bufferOf(assignment);
    if (buffer.lines.length >= LINES_PER_BATCH || buffer.text + line.length > TEXT_PER_BATCH) {
      buffer.leftOut += 1;
      return;
    }
    buffer.lines.push(line);
    buffer.text += line.length;
  }

  /** The batch did not arrive: its lines are told as left out. */
  lost({ assignment, printed }: LogBatch): void {
    this.#bufferOf(assignment).leftOut += printed;
  }

  #bufferOf(assignment: Assignment): Buffered {
    const key = tokenKey(assignment.token);
    let buffer = this.#buffers.get(key);
    if (buffer === undefined) {
      buffer = { assignment, lines: [], text: 0, leftOut: 0 };
      this.#buffers.set(key, buffer);
    }
    return buffer;
  }

  /** Takes out up to `limit` batches, one a unit, oldest first. */
  take(limit: number, atMs: number): readonly LogBatch[] {
    const batches: LogBatch[] = [];
    for (const [key, buffer] of this.#buffers) {
      if (batches.length === limit) break;
      this.#buffers.delete(key);
      batches.push(this.#batchOf(buffer, atMs));
    }
    return batches;
  }

  #batchOf({ assignment, lines, leftOut }: Buffered, atMs: number): LogBatch {
    const { step, unit, attempt } = assignment;
    const printed = lines.length + leftOut;
    if (leftOut > 0) lines.push(`… ${leftOut} ${leftOut === 1 ? 'line' : 'lines'} left out`);
    const message = { agentId: this.#agentId, step, unit, attempt, atMs, lines };
    return { assignment, printed, message };
  }
}

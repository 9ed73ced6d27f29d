/**
 * The least pace of HTTP requests. A connection on which nothing moves is cut by its idle limit; one that
 * moves a byte now and then is cut here. A window counts only while it is the other end that is waited for:
 * a slow disk of ours is nobody's fault.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface PaceOptions {
  readonly windowMs: number;
  /** That much must move within a window, either way. */
  readonly leastBytes: number;
  readonly monotonicMs: () => number;
}

interface Watched {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  sinceMs: number;
  bytesThen: number;
}

const LOOKS_A_WINDOW = 10;

export class PaceWatch {
  readonly #options: PaceOptions;
  readonly #watched = new Set<Watched>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.windowMs / LOOKS_A_WINDOW).unref();
  }

  watch(request: IncomingMessage, response: ServerResponse): void {
    const sinceMs = this.#options.monotonicMs();
    const watched = { request, response, sinceMs, bytesThen: movedBytes(request) };
    this.#watched.add(watched);
    response.once('close', () => this.#watched.delete(watched));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { windowMs, leastBytes, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    for (const watched of this.#watched) {
      const { request } = watched;
      const moved = movedBytes(request) - watched.bytesThen;
      const isFast = moved >= leastBytes;
      if (!isFast && isWaitedFor(watched) && nowMs - watched.sinceMs < windowMs) continue;
      if (!isFast && isWaitedFor(watched)) request.socket.destroy();
      watched.sinceMs = nowMs;
      watched.bytesThen += moved;
    }
  }
}

function isWaitedFor({ request, response }: Watched): boolean {
  const isSending = !request.complete && request.readableLength === 0;
  return isSending || response.writableLength > 0;
}

/** Encryption adds little to what is counted. */
function movedBytes({ socket }: IncomingMessage): number {
  return socket.bytesRead + socket.bytesWritten - socket.writableLength;
}

/**
 * Saying something on a stream whose other end may not read. What it has not taken waits in memory; of an
 * agent that takes nothing the stream is ended, and its connection goes when nothing of it moves.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { FurrowError } from '../../kit/furrow-error.ts';
import { statusOf } from './errors.ts';

/** An agent reads at once; a beat is answered by one message, and orders are few. */
const MOST_UNREAD_MESSAGES = 1_000;

/** False: the stream has been ended, or is about to be. */
export function say<Response>(
  stream: ServerDuplexStream<unknown, Response>,
  message: Response,
): boolean {
  if (stream.writableEnded || stream.destroyed) return false;
  if (stream.writableLength < MOST_UNREAD_MESSAGES) {
    stream.write(message);
    return true;
  }
  // Nothing more is read of it: what it says could not be answered.
  stream.removeAllListeners('data').pause();
  const text = `${MOST_UNREAD_MESSAGES} messages of this stream were not read: read it, or open another`;
  stream.emit('error', statusOf(new FurrowError('exhausted', 'STREAM_UNREAD', text)));
  return false;
}

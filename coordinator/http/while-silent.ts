/** A connection on which no byte moves because we are busy is not an idle one. */
import type { Socket } from 'node:net';

/** Lifts the connection's idle timeout while `work` is under way. */
export async function whileSilent<T>(
  socket: Socket | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const idleMs = socket?.timeout ?? 0;
  socket?.setTimeout(0);
  try {
    return await work();
  } finally {
    socket?.setTimeout(idleMs);
  }
}

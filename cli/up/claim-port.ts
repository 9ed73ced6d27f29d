import { createServer } from 'node:net';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';

/**
 * The port itself, or any free one for 0. Asked before the start: a foreign server on the port would
 * answer in place of ours. FurrowError: failed-precondition PORT_IN_USE.
 */
export async function claimPort(host: string, wanted: number): Promise<number> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(wanted, host, resolve);
    });
  } catch (error) {
    const message = `cannot use port ${wanted} for NATS (${messageOf(error)}): stop what uses it, or choose another with --nats-port`;
    throw new FurrowError('failed-precondition', 'PORT_IN_USE', message, { cause: error });
  }
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : wanted;
}

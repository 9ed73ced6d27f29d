/** A TCP proxy on loopback that can be cut, made slow, or made to lose what the server says. */
import { connect, createServer, type Socket } from 'node:net';

export interface Proxy {
  readonly port: number;
  /** Ends every connection and refuses new ones. */
  cut(): void;
  /** Lets everything through again; connections that lost bytes are ended, so that clients return. */
  heal(): void;
  /** From now on what the server says is lost; what clients say still arrives. */
  dropReplies(): void;
  /** From now on what clients say is lost; what the server says still arrives. */
  dropRequests(): void;
  /** Both directions, each chunk, in order. */
  delay(delayMs: number): void;
  close(): Promise<void>;
}

interface Faults {
  isCut: boolean;
  dropsReplies: boolean;
  dropsRequests: boolean;
  delayMs: number;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  lostBytes: boolean;
}

export async function startProxy(targetPort: number): Promise<Proxy> {
  const faults: Faults = { isCut: false, dropsReplies: false, dropsRequests: false, delayMs: 0 };
  const pairs = new Set<Pair>();
  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  };
  const listener = createServer((client) => {
    if (faults.isCut) {
      client.destroy();
      return;
    }
    const server = connect(targetPort, '127.0.0.1');
    const pair: Pair = { client, server, lostBytes: false };
    pairs.add(pair);
    relay(pair, client, server, faults, () => faults.dropsRequests);
    relay(pair, server, client, faults, () => faults.dropsReplies);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => end(pair));
      socket.on('close', () => end(pair));
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const endAll = (which: (pair: Pair) => boolean): void => {
    for (const pair of pairs) if (which(pair)) end(pair);
  };
  return {
    port: address.port,
    cut: () => {
      faults.isCut = true;
      endAll(() => true);
    },
    heal: () => {
      Object.assign(faults, {
        isCut: false,
        dropsReplies: false,
        dropsRequests: false,
        delayMs: 0,
      });
      endAll((pair) => pair.lostBytes);
    },
    dropReplies: () => {
      faults.dropsReplies = true;
    },
    dropRequests: () => {
      faults.dropsRequests = true;
    },
    delay: (delayMs) => {
      faults.delayMs = delayMs;
    },
    close: async () => {
      endAll(() => true);
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}

function relay(pair: Pair, from: Socket, to: Socket, faults: Faults, drops: () => boolean): void {
  let earlier = Promise.resolve();
  from.on('data', (chunk) => {
    if (drops()) {
      pair.lostBytes = true;
      return;
    }
    const delayMs = faults.delayMs;
    earlier = earlier.then(async () => {
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      if (!to.destroyed) to.write(chunk);
    });
  });
}

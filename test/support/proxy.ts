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
  /** Nothing arrives any more, and nobody is told. */
  blackHole(): void;
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
  /** Faults are for it. Undefined until it is known. */
  isConcerned: boolean | undefined;
  lostBytes: boolean;
}

/**
 * `concerns`: whether the faults are for a connection, by the first bytes that its client says, or by the
 * client's port; until then nothing happens to it. Default all. `at`: where to listen; default 127.0.0.1, a free port.
 */
export async function startProxy(
  targetPort: number,
  concerns?: (opening: Buffer, clientPort: number) => boolean,
  at: { readonly host: string; readonly port: number } = { host: '127.0.0.1', port: 0 },
): Promise<Proxy> {
  const faults: Faults = { isCut: false, dropsReplies: false, dropsRequests: false, delayMs: 0 };
  const pairs = new Set<Pair>();
  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  };
  const listener = createServer((client) => {
    if (faults.isCut && concerns === undefined) {
      client.destroy();
      return;
    }
    const server = connect(targetPort, '127.0.0.1');
    const isConcerned = concerns === undefined ? true : undefined;
    const pair: Pair = { client, server, isConcerned, lostBytes: false };
    pairs.add(pair);
    client.once('data', (opening) => {
      pair.isConcerned ??= concerns?.(opening, client.remotePort ?? 0);
      if (faults.isCut && pair.isConcerned === true) end(pair);
    });
    relay(pair, client, server, faults, () => faults.dropsRequests);
    relay(pair, server, client, faults, () => faults.dropsReplies);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => end(pair));
      socket.on('close', () => end(pair));
    }
  });
  await new Promise<void>((resolve) => listener.listen(at.port, at.host, resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const endAll = (which: (pair: Pair) => boolean): void => {
    for (const pair of pairs) if (which(pair)) end(pair);
  };
  return {
    port: address.port,
    cut: () => {
      faults.isCut = true;
      endAll((pair) => pair.isConcerned === true);
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
    blackHole: () => {
      Object.assign(faults, { dropsReplies: true, dropsRequests: true });
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
    if (drops() && pair.isConcerned === true) {
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

/** How the other end of a connection is called: the connection itself, and the address that limits count by. */

/** What sockets and gRPC calls both know of their connection. */
export interface ConnectionEnds {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localPort?: number | undefined;
}

/** One connection, among all that are open. */
export function peerOf({ remoteAddress, remotePort, localPort }: ConnectionEnds): string {
  return `${remoteAddress ?? ''}/${remotePort ?? 0}/${localPort ?? 0}`;
}

/**
 * Whom to count: an IPv4 address; of IPv6 the first 64 bits, because whoever has one address there has all
 * of those.
 */
export function addressOf({ remoteAddress = '' }: ConnectionEnds): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress)?.[1];
  if (mapped !== undefined) return mapped;
  if (!remoteAddress.includes(':') || remoteAddress === '::1') return remoteAddress;
  const [head = '', tail = ''] = remoteAddress.split('%', 1)[0]!.toLowerCase().split('::', 2);
  const before = head === '' ? [] : head.split(':');
  const after = tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0');
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`;
}

export function isLoopbackPeer(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

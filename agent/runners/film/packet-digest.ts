/**
 * A digest over a stream's packets, in order: the same for a chunk and for the stretch of the film
 * that was copied from it. Reads what ffmpeg's framehash muxer prints.
 */
import { createHash } from 'node:crypto';

/** Options for an output that prints one line for each packet. */
export const FRAMEHASH = ['-c', 'copy', '-f', 'framehash', '-hash', 'md5'];

export interface PacketHash {
  readonly pts: number;
  readonly sizeBytes: number;
  readonly hash: string;
}

/** `0, -1024, 0, 512, 6654, d41d8…`; comments begin with `#`. */
export function parsePacketHash(line: string): PacketHash | undefined {
  if (line.startsWith('#')) return undefined;
  const fields = line.split(',').map((field) => field.trim());
  if (fields.length < 6) return undefined;
  return { pts: Number(fields[2]), sizeBytes: Number(fields[4]), hash: fields[5]! };
}

/** What a stream's header says, as far as the lines before its packets tell. */
export interface StreamHeader {
  /** As ffprobe names it, `MD5:` and the digest; empty when the codec has none. */
  readonly extradataHash: string;
  readonly width: number;
  readonly height: number;
}

/** `#extradata 0,  45, 2012e4…` and `#dimensions 0: 1280x720`, of the only stream. */
export function parseStreamHeader(lines: readonly string[]): StreamHeader {
  const first = (pattern: RegExp): RegExpExecArray | undefined => {
    for (const line of lines) {
      const match = line.startsWith('#') ? pattern.exec(line) : null;
      if (match !== null) return match;
    }
    return undefined;
  };
  const hash = first(/^#extradata 0,\s*\d+,\s*([0-9a-f]+)$/)?.[1];
  const size = first(/^#dimensions 0: (\d+)x(\d+)$/);
  return {
    extradataHash: hash === undefined ? '' : `MD5:${hash}`,
    width: Number(size?.[1] ?? 0),
    height: Number(size?.[2] ?? 0),
  };
}

export function digestPackets(packets: readonly PacketHash[]): string {
  const digest = createHash('sha256');
  for (const { sizeBytes, hash } of packets) digest.update(`${sizeBytes} ${hash}\n`);
  return digest.digest('hex');
}

/**
 * A digest over the order in which the packets' pictures are shown, whatever clock they are timed by:
 * together with all times of a stretch it says when each of its packets is shown.
 */
export function digestOrder(packets: readonly PacketHash[]): string {
  const ranks = new Map(
    packets
      .map(({ pts }) => pts)
      .sort((a, b) => a - b)
      .map((pts, rank) => [pts, rank]),
  );
  const order = packets.map(({ pts }) => ranks.get(pts));
  return createHash('sha256').update(order.join(' ')).digest('hex');
}

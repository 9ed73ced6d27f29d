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

export function digestPackets(packets: readonly PacketHash[]): string {
  const digest = createHash('sha256');
  for (const { sizeBytes, hash } of packets) digest.update(`${sizeBytes} ${hash}\n`);
  return digest.digest('hex');
}

/** Which process made a connection on loopback: what a switch knows by its ports, the kernel's tables say. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The pid among `candidates` that holds the socket bound to this local IPv4 address and port. */
export function ownerOf(
  address: string,
  port: number,
  candidates: Iterable<number>,
): number | undefined {
  const inode = inodeOf(address, port);
  if (inode === undefined) return undefined;
  const wanted = `socket:[${inode}]`;
  for (const pid of candidates) if (holds(pid, wanted)) return pid;
  return undefined;
}

function inodeOf(address: string, port: number): string | undefined {
  // As the kernel prints it: the address in the machine's byte order.
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  const local = `${bytes.reverse().join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
  for (const line of read('/proc/net/tcp').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === local) return fields[9];
  }
  return undefined;
}

function holds(pid: number, wanted: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => linkOf(`${folder}/${fd}`) === wanted);
  } catch {
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

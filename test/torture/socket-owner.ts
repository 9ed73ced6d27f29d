/** Which process made a connection on loopback: what a switch knows by its ports, the kernel's tables say. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The pid among `candidates` that holds the socket bound to this local IPv4 address and port. */
export function ownerOf(
  address: string,
  port: number,
  candidates: Iterable<number>,
): number | undefined {
  const wanted = new Set(inodesOf(address, port).map((inode) => `socket:[${inode}]`));
  if (wanted.size === 0) return undefined;
  for (const pid of candidates) if (holds(pid, wanted)) return pid;
  return undefined;
}

/** Several connections to different places may share a port; those that are over have no inode. */
function inodesOf(address: string, port: number): string[] {
  // As the kernel prints it: the address in the machine's byte order.
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  const local = `${bytes.reverse().join('')}:${port.toString(16).padStart(4, '0')}`.toUpperCase();
  return read('/proc/net/tcp')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1] === local && fields[9] !== '0')
    .map((fields) => fields[9] ?? '');
}

function holds(pid: number, wanted: ReadonlySet<string>): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => wanted.has(linkOf(`${folder}/${fd}`)));
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

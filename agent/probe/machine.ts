/** What tells this machine from others, and who this agent is on it. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

const ID = /^[a-z0-9-]{1,64}$/;

/** The agent's id, kept in its state folder and made at its first start: `<name>-<random>`. */
export function agentIdIn(stateDirectory: string, name: string): string {
  const path = join(stateDirectory, 'agent-id');
  try {
    const known = readFileSync(path, 'utf8').trim();
    if (ID.test(known)) return known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const readable = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const id = `${readable.slice(0, 40) || 'agent'}-${randomBytes(3).toString('hex')}`;
  writeFileSync(`${path}.draft`, `${id}\n`);
  renameSync(`${path}.draft`, path);
  return id;
}

/**
 * The same for every start on this machine, different on others: cloned disks share a machine-id,
 * containers of one image too, but hardly the host's name as well.
 */
export function machineFingerprint(): string {
  let machineId = '';
  try {
    machineId = readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    // Not on this platform: the host's name must do.
  }
  return createHash('sha256').update(`${machineId}\n${hostname()}`).digest('hex').slice(0, 32);
}

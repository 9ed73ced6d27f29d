/**
 * The demo's own corner: a temporary state folder, an environment in which nobody else's settings
 * count, and the end of whatever still runs from there.
 */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';

/** Short, so that the demo shows within seconds what a farm otherwise waits longer for. */
export const DEMO_LEASE_TTL_MS = 3_000;
const DEMO_HEARTBEAT_MS = 1_000;

/** Settings of ours that say where things are found, not how a farm behaves. */
const KEPT = new Set(['FURROW_NATS_SERVER', 'FURROW_DEBUG']);

export interface DemoHome {
  readonly root: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Kills what units left running, and removes the folder. For the last moment: does not wait. */
  readonly remove: () => void;
}

export function openDemoHome(environment: NodeJS.ProcessEnv): DemoHome {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'furrow-demo-')));
  return {
    root,
    environment: {
      ...Object.fromEntries(
        Object.entries(environment).filter(
          ([name]) => !name.startsWith('FURROW_') || KEPT.has(name),
        ),
      ),
      FURROW_HOME: root,
      FURROW_LEASE_TTL_MS: String(DEMO_LEASE_TTL_MS),
      FURROW_HEARTBEAT_MS: String(DEMO_HEARTBEAT_MS),
      // Nobody was there before this coordinator whose leases could be waiting to be adopted.
      FURROW_TAKEOVER_GRACE_MS: '0',
    },
    remove() {
      killStrays(root);
      try {
        // Somebody who was just killed may be writing a last file.
        rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
      } catch {
        // The system empties its temporary folder by itself.
      }
    },
  };
}

/**
 * Units of an agent that was killed, where nothing ends them with it. A unit has its attempt's folder as
 * HOME. Where there is no /proc they are left to end by themselves, which takes them seconds.
 */
function killStrays(root: string): void {
  const mark = `HOME=${root}${sep}`;
  for (const pid of readPids()) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (environment.some((entry) => entry.startsWith(mark))) process.kill(pid, 'SIGKILL');
    } catch {
      // Gone, or somebody else's.
    }
  }
}

function readPids(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

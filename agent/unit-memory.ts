/** What holds units to the memory they were given: control groups where they can be had, else a watch. */
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { AgentConfig } from './config.ts';
import { readCgroupMount } from './process/cgroup-mount.ts';
import { MemoryGuard } from './process/memory-guard.ts';
import { MemoryLeft } from './process/memory-left.ts';
import type { MemorySampler } from './process/memory-sampler.ts';
import { UnitCgroups } from './process/unit-cgroups.ts';

export interface UnitMemory {
  /** Null where the kernel does not hold units to their memory. */
  readonly cgroups: UnitCgroups | null;
  readonly guard: MemoryGuard;
}

/** FurrowError: failed-precondition CGROUPS_UNAVAILABLE when nothing else is to do. */
export function openUnitMemory(
  enforcement: AgentConfig['memoryEnforcement'],
  agentId: string,
  sampler: MemorySampler,
  log: Logger,
): UnitMemory {
  const cgroups = openCgroups(enforcement, agentId, log);
  const memoryLeft = new MemoryLeft();
  const guard = new MemoryGuard({
    sampler,
    enforcement: enforcement === 'off' ? 'off' : 'on',
    cgroups,
    memoryLeft: () => memoryLeft.read(),
    log,
  });
  return { cgroups, guard };
}

function openCgroups(
  enforcement: AgentConfig['memoryEnforcement'],
  agentId: string,
  log: Logger,
): UnitCgroups | null {
  if (enforcement === 'off' || enforcement === 'watch') return null;
  const opened = UnitCgroups.open(readCgroupMount('v2'), agentId);
  if (opened.state === 'open') return opened.cgroups;
  if (enforcement === 'cgroup') {
    const remedy = 'run the agent as a systemd service with Delegate=yes, or let it watch';
    const message = `units cannot have control groups: ${opened.why}; ${remedy}`;
    throw new FurrowError('failed-precondition', 'CGROUPS_UNAVAILABLE', message);
  }
  log.info({ why: opened.why }, 'no control groups for units: their memory is watched');
  return null;
}

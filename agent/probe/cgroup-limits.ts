/**
 * What the control groups leave of the machine to this process: a container sees all processors and all
 * memory, and is throttled or killed for using them. Versions 1 and 2, side by side too; the tightest of
 * all groups that it is in counts. (Which processors it may run on, `os.availableParallelism` knows.)
 */
import { readFileSync } from 'node:fs';

export interface CgroupLimits {
  /** Time on processors, in thousandths of a core; null for no limit. */
  readonly cpuMillis: number | null;
  /** Of the group with the least left; null for no limit. */
  readonly memory: { readonly limitBytes: number; readonly availableBytes: number } | null;
}

/** The file's text; null when there is none, or it may not be read. */
export type ReadText = (path: string) => string | null;

interface Mount {
  readonly version: 1 | 2;
  /** The group that is shown at the mount point. */
  readonly root: string;
  readonly point: string;
  /** Of version 1: such as cpu. */
  readonly controllers: readonly string[];
}

/** A limit no machine reaches says that there is none: version 1 has no word for it. */
const NO_LIMIT_BYTES = 2 ** 60;

export function readCgroupLimits(read: ReadText = readText): CgroupLimits {
  const mounts = parseMounts(read('/proc/self/mountinfo') ?? '');
  const groups = parseGroups(read('/proc/self/cgroup') ?? '');
  const quotas: number[] = [];
  const memories: { limitBytes: number; availableBytes: number }[] = [];
  for (const mount of mounts) {
    for (const folder of foldersOf(mount, groups)) {
      const file = (name: string): string => read(`${folder}/${name}`)?.trim() ?? '';
      const quota = mount.version === 2 ? quotaV2(file) : quotaV1(file);
      const limitBytes = mount.version === 2 ? memoryLimitV2(file) : memoryLimitV1(file);
      if (quota !== null) quotas.push(quota);
      if (limitBytes !== null) {
        const used = mount.version === 2 ? memoryUseV2(file) : memoryUseV1(file);
        memories.push({ limitBytes, availableBytes: Math.max(0, limitBytes - used) });
      }
    }
  }
  memories.sort((a, b) => a.availableBytes - b.availableBytes);
  const limitBytes = Math.min(...memories.map((memory) => memory.limitBytes));
  const [tightest] = memories;
  return {
    cpuMillis: quotas.length === 0 ? null : Math.floor(Math.min(...quotas)),
    memory: tightest === undefined ? null : { ...tightest, limitBytes },
  };
}

type File = (name: string) => string;

function quotaV2(file: File): number | null {
  const [quota, period] = file('cpu.max').split(' ').map(Number);
  return millisOf(quota, period);
}

function quotaV1(file: File): number | null {
  return millisOf(numberIn(file('cpu.cfs_quota_us')), numberIn(file('cpu.cfs_period_us')));
}

/** `max` and -1 are no quota. */
function millisOf(quota: number | undefined, period: number | undefined): number | null {
  if (quota === undefined || period === undefined || !(quota > 0) || !(period > 0)) return null;
  return (quota / period) * 1000;
}

/** Above `high` a group is slowed down until it uses less: as good as a limit. */
function memoryLimitV2(file: File): number | null {
  const limits = [file('memory.max'), file('memory.high')].map(numberIn);
  return limitOf(Math.min(...limits.filter((limit) => !Number.isNaN(limit))));
}

function memoryLimitV1(file: File): number | null {
  return limitOf(numberIn(file('memory.limit_in_bytes')));
}

function limitOf(bytes: number): number | null {
  return bytes < NO_LIMIT_BYTES ? bytes : null;
}

/** Pages of files that nobody used for a while are given up for the asking. */
function memoryUseV2(file: File): number {
  const current = Number(file('memory.current')) || 0;
  return current - statOf(file('memory.stat'), 'inactive_file');
}

function memoryUseV1(file: File): number {
  const usage = Number(file('memory.usage_in_bytes')) || 0;
  return usage - statOf(file('memory.stat'), 'total_inactive_file');
}

function statOf(stat: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
}

/** NaN for what is no number, an empty text included. */
function numberIn(text: string): number {
  return /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** From `31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu`. */
function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split('\n').flatMap((line): Mount[] => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root = '', point = ''] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (type === 'cgroup2') return [{ version: 2, root, point, controllers: [] }];
    if (type !== 'cgroup') return [];
    const controllers = options.split(',').filter((name) => name === 'cpu' || name === 'memory');
    return controllers.length === 0 ? [] : [{ version: 1, root, point, controllers }];
  });
}

/** The group of each controller, from `4:memory:/path`; version 2 stands under the empty name. */
function parseGroups(text: string): ReadonlyMap<string, string> {
  const groups = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    for (const controller of match?.[1]?.split(',') ?? [])
      groups.set(controller, match?.[2] ?? '/');
  }
  return groups;
}

/** The process's own group and all above it that can be seen, each as a folder. */
function foldersOf(mount: Mount, groups: ReadonlyMap<string, string>): readonly string[] {
  const names = mount.version === 2 ? [''] : mount.controllers;
  const group = names.map((name) => groups.get(name)).find((path) => path !== undefined) ?? '/';
  const root = mount.root === '/' ? '' : mount.root;
  // Outside of what is mounted here, in a container: its own group is the mount's root.
  const inside = group === root || group.startsWith(`${root}/`) ? group.slice(root.length) : '';
  const parts = inside.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, depth) =>
    [mount.point, ...parts.slice(0, depth)].join('/'),
  );
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Where this process's control group lies in the file system. */
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface CgroupMount {
  /** Where the hierarchy, or the part of it that is seen here, is mounted. */
  readonly root: string;
  /** Our own group's folder, at or below `root`. */
  readonly folder: string;
}

/** Null where that version, or its memory controller, is not mounted. */
export function readCgroupMount(version: 'v2' | 'v1-memory'): CgroupMount | null {
  try {
    const mountinfo = readFileSync('/proc/self/mountinfo', 'utf8');
    return parseCgroupMount(mountinfo, readFileSync('/proc/self/cgroup', 'utf8'), version);
  } catch {
    return null;
  }
}

/** From the texts of /proc/self/mountinfo and /proc/self/cgroup. */
export function parseCgroupMount(
  mountinfo: string,
  cgroup: string,
  version: 'v2' | 'v1-memory',
): CgroupMount | null {
  const own = cgroup.split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const wanted =
      version === 'v2' ? controllers === '' : controllers.split(',').includes('memory');
    return wanted && path !== '' ? [path] : [];
  })[0];
  if (own === undefined) return null;
  for (const line of mountinfo.split('\n')) {
    // 36 35 0:31 /seen/part /mount/point options … - type device super-options
    const [left = '', right = ''] = line.split(' - ');
    const [, , , part = '', mountPoint = ''] = left.split(' ');
    const [type, , superOptions = ''] = right.split(' ');
    const isWanted =
      version === 'v2'
        ? type === 'cgroup2'
        : type === 'cgroup' && superOptions.split(',').includes('memory');
    if (!isWanted) continue;
    const below = relative(part, own);
    // In a container's own view the path may lie outside of what is mounted: then its root is ours.
    const folder = below.startsWith('..') ? mountPoint : join(mountPoint, below);
    return { root: mountPoint, folder };
  }
  return null;
}

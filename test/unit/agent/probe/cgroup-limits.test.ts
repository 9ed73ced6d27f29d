/** Control groups as they look from inside: of containers, of services, of both versions. */
import { expect, test } from 'vitest';
import { readCgroupLimits, type CgroupLimits } from '../../../../agent/probe/cgroup-limits.ts';

const GIB = 2 ** 30;
const NO_LIMIT = '9223372036854771712';

function limitsIn(files: Record<string, string>): CgroupLimits {
  return readCgroupLimits((path) => files[path] ?? null);
}

test('a container of version 2 sees its own group as the root', () => {
  expect(
    limitsIn({
      '/proc/self/mountinfo': '30 22 0:27 / /sys/fs/cgroup ro,relatime - cgroup2 cgroup rw\n',
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/cpu.max': '250000 100000\n',
      '/sys/fs/cgroup/memory.max': `${4 * GIB}\n`,
      '/sys/fs/cgroup/memory.high': 'max\n',
      '/sys/fs/cgroup/memory.current': `${3 * GIB}\n`,
      '/sys/fs/cgroup/memory.stat': `anon 1\ninactive_file ${GIB}\nactive_file 5\n`,
    }),
  ).toEqual({ cpuMillis: 2500, memory: { limitBytes: 4 * GIB, availableBytes: 2 * GIB } });
});

test('a service of version 2 is held by the groups above it too', () => {
  const slice = '/sys/fs/cgroup/furrow.slice';
  expect(
    limitsIn({
      '/proc/self/mountinfo': '30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n',
      '/proc/self/cgroup': '0::/furrow.slice/agent.service\n',
      [`${slice}/cpu.max`]: '100000 100000\n',
      [`${slice}/memory.max`]: `${8 * GIB}\n`,
      [`${slice}/memory.current`]: `${7 * GIB}\n`,
      [`${slice}/agent.service/cpu.max`]: 'max 100000\n',
      [`${slice}/agent.service/memory.max`]: 'max\n',
      [`${slice}/agent.service/memory.high`]: `${2 * GIB}\n`,
      [`${slice}/agent.service/memory.current`]: '0\n',
    }),
  ).toEqual({ cpuMillis: 1000, memory: { limitBytes: 2 * GIB, availableBytes: GIB } });
});

test('a container of version 1 is told a path that lies outside of what it sees', () => {
  expect(
    limitsIn({
      '/proc/self/mountinfo': [
        '40 39 0:30 /docker/4f1c /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct',
        '41 39 0:31 /docker/4f1c /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory',
      ].join('\n'),
      '/proc/self/cgroup': '5:memory:/docker/4f1c\n4:cpu,cpuacct:/docker/4f1c\n1:name=systemd:/x\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '150000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${2 * GIB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${GIB}\n`,
      '/sys/fs/cgroup/memory/memory.stat': 'inactive_file 7\ntotal_inactive_file 1024\n',
    }),
  ).toEqual({ cpuMillis: 1500, memory: { limitBytes: 2 * GIB, availableBytes: GIB + 1024 } });
});

test('no limit is no limit', () => {
  const none = { cpuMillis: null, memory: null };
  expect(limitsIn({})).toEqual(none);
  expect(
    limitsIn({
      '/proc/self/mountinfo': [
        '40 39 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu',
        '41 39 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
        '42 39 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      ].join('\n'),
      '/proc/self/cgroup': '4:memory:/user\n2:cpu:/\n0::/\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/user/memory.limit_in_bytes': `${NO_LIMIT}\n`,
      '/sys/fs/cgroup/memory/user/memory.usage_in_bytes': `${GIB}\n`,
    }),
  ).toEqual(none);
});

import { describe, expect, test } from 'vitest';
import { parseCgroupMount } from '../../../../agent/process/cgroup-mount.ts';
import { parseRollup } from '../../../../agent/process/memory-held.ts';
import {
  floorOf,
  limitOf,
  mostOvergrown,
  pauseBeforeLook,
} from '../../../../agent/process/memory-limits.ts';
import { parseOomKills } from '../../../../agent/process/oom-kills.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const unit = (demandMib: number, usedMib: number, growthMibAMs = 0) => ({
  demandBytes: demandMib * MIB,
  usedBytes: usedMib * MIB,
  growthBytesAMs: growthMibAMs * MIB,
});

test('a unit may take its demand, a tenth, and 64 MiB; without a demand nothing bounds it', () => {
  expect(limitOf(1000 * MIB)).toBe(1164 * MIB);
  expect(limitOf(0)).toBe(Infinity);
});

test('what must be left grows with the machine, within bounds', () => {
  expect(floorOf(GIB)).toBe(96 * MIB);
  expect(floorOf(8 * GIB)).toBe(256 * MIB);
  expect(floorOf(128 * GIB)).toBe(512 * MIB);
});

test('the one with most beyond its demand goes; who keeps to it stays', () => {
  const [small, large] = [unit(0, 300), unit(1000, 1200)];
  expect(mostOvergrown([unit(5000, 4000), large, small])).toBe(small);
  expect(mostOvergrown([unit(5000, 4000)])).toBeUndefined();
});

describe('the next look comes', () => {
  const machine = { totalBytes: 16 * GIB, leftBytes: 12 * GIB };
  test('before a unit reaches its limit at the pace of its growth', () => {
    // 1164 MiB allowed, 664 taken, 1 MiB each millisecond.
    expect(pauseBeforeLook([unit(1000, 664, 1)], machine)).toBeCloseTo(250, 0);
    expect(pauseBeforeLook([unit(1000, 664)], machine)).toBe(1_000);
  });
  test('soon, where it is not known how fast a unit grows', () => {
    expect(pauseBeforeLook([{ ...unit(1000, 1), growthBytesAMs: null }], machine)).toBe(100);
  });
  test('before all of them could use up what the machine has left', () => {
    const short = { totalBytes: 16 * GIB, leftBytes: 1.5 * GIB };
    expect(pauseBeforeLook([unit(1000, 1)], short)).toBeCloseTo(250, -1);
  });
  test('not so often that looking would be all that is done', () => {
    expect(pauseBeforeLook([unit(1000, 2000, 5)], machine)).toBe(50);
    expect(pauseBeforeLook([], { totalBytes: GIB, leftBytes: 0 })).toBe(50);
  });
});

test('held memory is anonymous, shared and swapped; files that are mapped are not', () => {
  const rollup = [
    '561e6d57b000-7ffda9d3b000 ---p 00000000 00:00 0                          [rollup]',
    'Rss:                1768 kB',
    'Pss:                 586 kB',
    'Pss_Dirty:           148 kB',
    'Pss_Anon:            148 kB',
    'Pss_File:            438 kB',
    'Pss_Shmem:             10 kB',
    'SwapPss:               2 kB',
  ].join('\n');
  expect(parseRollup(rollup)).toBe(160 * 1024);
  expect(parseRollup('Rss: 1 kB\nPss: 1 kB')).toBeNull();
});

test('kills are counted for the machine and for a group alike', () => {
  expect(parseOomKills('nr_free_pages 1\noom_kill 3\nnuma_hit 9\n')).toBe(3);
  expect(parseOomKills('low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n')).toBe(2);
  expect(parseOomKills('')).toBe(0);
});

describe('our own group is found', () => {
  const v2 = '35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n';
  const hybrid = [
    '30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755',
    '31 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '32 30 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
  ].join('\n');
  test.each([
    [
      'a service',
      v2,
      '0::/system.slice/furrow.service\n',
      'v2',
      '/sys/fs/cgroup/system.slice/furrow.service',
    ],
    ['a container with its own view', v2, '0::/\n', 'v2', '/sys/fs/cgroup'],
    [
      'a path outside of the view',
      v2.replace('0:30 / ', '0:30 /docker/a '),
      '0::/../b\n',
      'v2',
      '/sys/fs/cgroup',
    ],
    ['version 1', hybrid, '4:memory:/jobs/a\n0::/\n', 'v1-memory', '/sys/fs/cgroup/memory/jobs/a'],
    [
      'version 2 beside version 1',
      hybrid,
      '4:memory:/jobs/a\n0::/\n',
      'v2',
      '/sys/fs/cgroup/unified',
    ],
  ] as const)('%s', (_what, mountinfo, cgroup, version, folder) => {
    expect(parseCgroupMount(mountinfo, cgroup, version)?.folder).toBe(folder);
  });

  test('or is not mounted', () => {
    expect(parseCgroupMount('', '0::/\n', 'v2')).toBeNull();
    expect(parseCgroupMount(v2, '4:cpu:/\n', 'v1-memory')).toBeNull();
  });
});

/**
 * The kernel's side is a folder of files here: where this runs, version 2 has no memory controller. What the
 * kernel would do with the limits is not tested, what it is asked is.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnitCgroups } from '../../../../agent/process/unit-cgroups.ts';

let root: string;
let own: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'furrow-cgroups-'));
  own = join(root, 'furrow.service');
  mkdirSync(own);
  writeFileSync(join(own, 'cgroup.controllers'), 'cpu memory pids\n');
  writeFileSync(join(own, 'cgroup.subtree_control'), '');
  writeFileSync(join(own, 'cgroup.procs'), `${process.pid}\n`);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = (folder = own) => UnitCgroups.open({ root, folder }, 'box-1a2b3c');

test('the agent goes into a group of its own, and units get theirs beside it', () => {
  const opened = open();
  if (opened.state !== 'open') throw new Error(opened.why);
  expect(readFileSync(join(own, 'furrow-agent', 'cgroup.procs'), 'utf8')).toBe(`${process.pid}`);
  expect(readFileSync(join(own, 'cgroup.subtree_control'), 'utf8')).toBe('+memory');
  const unit = opened.cgroups.create(2 ** 28)!;
  const folder = join(own, `furrow-unit.box-1a2b3c.${process.pid}-2`);
  expect(readFileSync(join(folder, 'memory.max'), 'utf8')).toBe(String(2 ** 28));
  expect(readFileSync(join(folder, 'memory.swap.max'), 'utf8')).toBe('0');
  expect(readFileSync(join(folder, 'memory.oom.group'), 'utf8')).toBe('1');
  unit.join(4711);
  expect(readFileSync(join(folder, 'cgroup.procs'), 'utf8')).toBe('4711');
  expect(unit.oomKills()).toBe(0);
  writeFileSync(join(folder, 'memory.events'), 'max 9\noom 1\noom_kill 1\noom_group_kill 1\n');
  writeFileSync(join(folder, 'memory.peak'), '268435456\n');
  expect([unit.oomKills(), unit.peakBytes()]).toEqual([1, 2 ** 28]);
});

test.each([
  [
    'there is no memory controller',
    'cgroup.controllers',
    'cpu pids\n',
    /has no memory controller$/,
  ],
  ['others share the group', 'cgroup.procs', `1 ${process.pid} 2\n`, /holds 2 other processes$/],
])('not when %s', (_what, file, text, why) => {
  writeFileSync(join(own, file), text);
  expect(open()).toMatchObject({ state: 'unavailable', why: expect.stringMatching(why) as string });
  expect(existsSync(join(own, 'furrow-agent'))).toBe(false);
});

test('not when version 2 is not mounted', () => {
  expect(UnitCgroups.open(null, 'box')).toMatchObject({ state: 'unavailable' });
});

test('what an earlier run left is removed; other agents’ groups stay', () => {
  // A folder of the kernel's has no files of its own to delete first.
  for (const name of ['furrow-unit.box-1a2b3c.99-1', 'furrow-unit.other.1-1'])
    mkdirSync(join(own, name));
  const opened = open();
  if (opened.state !== 'open') throw new Error(opened.why);
  opened.cgroups.sweep();
  expect(existsSync(join(own, 'furrow-unit.box-1a2b3c.99-1'))).toBe(false);
  expect(existsSync(join(own, 'furrow-unit.other.1-1'))).toBe(true);
});

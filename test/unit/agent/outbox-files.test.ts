import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OutboxFiles } from '../../../agent/outbox-files.ts';
import { createLog } from '../../../kit/log.ts';
import { Result } from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-outbox-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): OutboxFiles =>
  new OutboxFiles(folder, createLog({ role: 'test', level: 'silent' }));

test('what was saved and not removed is there after a restart', async () => {
  const files = open();
  for (const counter of [1, 2, 3]) await files.save(resultOf(counter));
  await files.remove(resultOf(2).token!);
  expect(await open().load()).toEqual([resultOf(1), resultOf(3)]);
});

test('drafts, damaged results and those under a wrong name are deleted', async () => {
  await open().save(resultOf(1));
  writeFileSync(join(folder, '1.2.draft'), 'half');
  writeFileSync(join(folder, '1.3'), Buffer.from([0xff, 0xff, 0xff]));
  writeFileSync(join(folder, '1.4'), Result.encode(resultOf(5)).finish());
  writeFileSync(join(folder, '1.6'), '');
  expect(await open().load()).toEqual([resultOf(1)]);
  expect(readdirSync(folder)).toEqual(['1.1']);
});

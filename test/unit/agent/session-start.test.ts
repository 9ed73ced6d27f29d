import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SESSION_START_FILE, sessionStart } from '../../../agent/session-start.ts';
import { stateFile } from '../../../agent/state-file.ts';
import { createLog } from '../../../kit/log.ts';

const log = createLog({ role: 'test', level: 'silent' });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-start-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const startAt = (wallMs: number): number =>
  sessionStart(stateFile(folder, SESSION_START_FILE), wallMs, log);

test('a session is later than the one before it, also when the clock was set back between', () => {
  expect(startAt(9_000.4)).toBe(9_000);
  expect(startAt(20_000)).toBe(20_000);
  expect(startAt(3_000)).toBe(20_001);
  expect(startAt(3_001)).toBe(20_002);
  expect(startAt(30_000)).toBe(30_000);
});

test('a file that is damaged, or cannot be written, stops nobody', () => {
  writeFileSync(join(folder, SESSION_START_FILE), 'no number');
  expect(startAt(9_000)).toBe(9_000);
  expect(startAt(8_000)).toBe(9_001);
  // No coordinator could read what comes after it.
  writeFileSync(join(folder, SESSION_START_FILE), String(Number.MAX_SAFE_INTEGER));
  expect(startAt(9_000)).toBe(9_000);
  rmSync(folder, { recursive: true });
  expect(startAt(8_000)).toBe(8_000);
});

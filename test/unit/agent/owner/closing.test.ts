import { expect, test } from 'vitest';
import { closingOf, strictestOf } from '../../../../agent/owner/closing.ts';
import type { Use } from '../../../../agent/owner/use-watch.ts';
import { parseHours } from '../../../../kit/weekly-hours.ts';
import { OPEN_TERMS, type PolicyTerms } from '../../../../proto/agent-policy.ts';

const MONDAY_NOON = Date.UTC(2026, 10, 30, 12);
const IDLE: Use = { state: 'idle' };
const HOUR_MS = 3_600_000;

function reasonOf(terms: Partial<PolicyTerms>, use: Use = IDLE, wallMs = MONDAY_NOON) {
  return closingOf({ ...OPEN_TERMS, timeZone: 'UTC', ...terms }, use, wallMs)?.reason;
}

test('open terms are open; never is closed', () => {
  expect(reasonOf({})).toBeUndefined();
  expect(reasonOf({ mode: 'never' })).toBe('it is not to work for the farm (mode never)');
});

test('hours close outside of them, and say when they begin', () => {
  const nights = parseHours('mon-fri 19:00-07:00');
  expect(reasonOf({ hours: nights })).toBe('it is outside its hours until 19:00');
  expect(reasonOf({ hours: nights }, IDLE, MONDAY_NOON + 8 * HOUR_MS)).toBeUndefined();
  const weekend = parseHours('sat,sun 00:00-24:00');
  expect(reasonOf({ hours: weekend })).toBe('it is outside its hours until sat 00:00');
  const berlin = { hours: parseHours('13:00-14:00'), timeZone: 'Europe/Berlin' };
  expect(reasonOf(berlin)).toBeUndefined();
});

test('a pause closes until it is over', () => {
  const pausedUntilMs = MONDAY_NOON + 90 * 60_000;
  expect(reasonOf({ pausedUntilMs })).toBe('it is paused until 13:30');
  expect(reasonOf({ pausedUntilMs }, IDLE, pausedUntilMs)).toBeUndefined();
  const long = MONDAY_NOON + 50 * HOUR_MS;
  expect(reasonOf({ pausedUntilMs: long })).toBe('it is paused until wed 14:00');
});

test('use closes only where the mode asks for it', () => {
  const busy: Use = { state: 'busy', with: 'input' };
  expect(reasonOf({}, busy)).toBeUndefined();
  expect(reasonOf({ mode: 'idle' }, busy)).toBe(
    'its owner is at the machine (input within the last 5 min)',
  );
  expect(reasonOf({ mode: 'idle', idleAfterMs: 20_000 }, { state: 'busy', with: 'load' })).toBe(
    'others use its processors (above 50% within the last 20 s)',
  );
  expect(reasonOf({ mode: 'idle' }, { state: 'busy', with: 'gpu' })).toBe(
    'others use its GPU (above 20% within the last 5 min)',
  );
  expect(reasonOf({ mode: 'idle' }, { state: 'blind' })).toMatch(/cannot tell .* hours instead/);
  expect(reasonOf({ mode: 'idle' }, IDLE)).toBeUndefined();
});

test('of two policies the stricter holds: the owner’s word is not the farm’s to lift', () => {
  const finish = { reason: 'a', onBusy: 'finish', graceMs: 0 } as const;
  const slow = { reason: 'b', onBusy: 'evict', graceMs: 60_000 } as const;
  const soon = { reason: 'c', onBusy: 'evict', graceMs: 5_000 } as const;
  expect(strictestOf([undefined, undefined])).toBeUndefined();
  expect(strictestOf([finish, undefined])).toEqual(finish);
  expect(strictestOf([undefined, slow])).toEqual(slow);
  expect(strictestOf([finish, slow])).toEqual({ ...slow, reason: 'a' });
  expect(strictestOf([slow, soon])).toEqual({ ...soon, reason: 'b' });
});

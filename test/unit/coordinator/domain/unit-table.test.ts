import { describe, expect, test } from 'vitest';
import { UNIT_QUEUED, UnitTable } from '../../../../coordinator/domain/unit-table.ts';
import type { Token } from '../../../../coordinator/domain/token.ts';

const NOW_MS = 1_000;

function ready(table: UnitTable, nowMs = NOW_MS): number[] {
  return [...table.ready(nowMs)];
}

function lease(table: UnitTable, unit: number, token: number): void {
  table.lease(unit, token as Token, 1);
}

describe('UnitTable', () => {
  test('hands out units in order', () => {
    const table = new UnitTable(3);
    expect(ready(table)).toEqual([0, 1, 2]);
    lease(table, 0, 1);
    expect(ready(table)).toEqual([1, 2]);
    expect(table.counts).toEqual({ queued: 2, leased: 1, accepted: 0, failed: 0, cancelled: 0 });
    expect(table.attemptsOf(0)).toBe(1);
  });

  test('takes units out of order, as grants to several agents do, and forgets none', () => {
    const table = new UnitTable(5);
    lease(table, 0, 1);
    lease(table, 2, 2);
    lease(table, 4, 3);
    expect(ready(table)).toEqual([1, 3]);
    lease(table, 3, 4);
    expect(ready(table)).toEqual([1]);
    table.requeue(2, 0, false);
    expect(ready(table)).toEqual([1, 2]);
  });

  test('lets no unit wait for a wall clock that was set back', () => {
    const table = new UnitTable(2);
    for (const unit of [0, 1]) lease(table, unit, unit + 1);
    table.requeue(0, NOW_MS + 1_000, false);
    table.requeue(1, NOW_MS + 24 * 3_600_000, false);
    expect(ready(table)).toEqual([1]);
    expect(ready(table, NOW_MS + 1_000)).toEqual([0, 1]);
  });

  test('puts units back to the front, to the end, or not before their time', () => {
    const table = new UnitTable(4);
    for (const unit of [0, 1, 2]) lease(table, unit, unit + 1);
    table.requeue(0, NOW_MS + 50, false);
    table.requeue(1, 0, false);
    table.requeue(2, 0, true);
    expect(ready(table)).toEqual([2, 1, 3]);
    expect(ready(table, NOW_MS + 50)).toEqual([2, 0, 1, 3]);
    expect(table.notBeforeMsOf(0)).toBe(NOW_MS + 50);
    expect(table.notBeforeMsOf(1)).toBe(0);
  });

  test('holds back delayed units by their time, not by their order of arrival', () => {
    const table = new UnitTable(3);
    for (const unit of [0, 1, 2]) lease(table, unit, unit + 1);
    table.requeue(0, NOW_MS + 30, false);
    table.requeue(1, NOW_MS + 10, false);
    table.requeue(2, NOW_MS + 20, false);
    expect(ready(table, NOW_MS + 30)).toEqual([1, 2, 0]);
    expect(ready(table, NOW_MS + 10)).toEqual([1]);
  });

  test('accepts a late result of a unit that is queued again', () => {
    const table = new UnitTable(2);
    lease(table, 0, 7);
    table.requeue(0, 0, true);
    expect(table.tokenOf(0)).toBe(7);
    table.accept(0, []);
    expect(ready(table)).toEqual([1]);
    expect(table.counts.accepted).toBe(1);
  });

  test('goes on with an attempt without counting another', () => {
    const table = new UnitTable(1);
    lease(table, 0, 7);
    table.requeue(0, 0, true);
    table.resume(0);
    expect(table.attemptsOf(0)).toBe(1);
    expect(table.tokenOf(0)).toBe(7);
    expect(ready(table)).toEqual([]);
  });

  test('forgets counters of failed and cancelled units when it reopens them, and only of those', () => {
    const table = new UnitTable(4);
    for (const unit of [0, 1, 2]) lease(table, unit, unit + 1);
    table.accept(0, []);
    table.countFailure(1);
    table.countLoss(1, 'a1');
    table.fail(1);
    table.cancelOpen();
    expect(table.counts).toEqual({ queued: 0, leased: 0, accepted: 1, failed: 1, cancelled: 2 });
    table.reopen();
    expect(ready(table)).toEqual([1, 2, 3]);
    expect(table.failureCountOf(1)).toBe(0);
    expect(table.lossCountOf(1)).toBe(0);
    expect(table.lostOn.has(1)).toBe(false);
    expect(table.stateOf(3)).toBe(UNIT_QUEUED);
  });

  test('cancels what it passed over, and queues it again once', () => {
    const table = new UnitTable(4);
    lease(table, 2, 1);
    table.cancelOpen();
    table.reopen();
    expect(ready(table)).toEqual([0, 1, 2, 3]);
  });

  test('names each agent that lost a unit once', () => {
    const table = new UnitTable(1);
    lease(table, 0, 1);
    table.countLoss(0, 'a1');
    table.countLoss(0, 'a1');
    table.countLoss(0, 'a2');
    expect(table.lossCountOf(0)).toBe(3);
    expect(table.lostOn.get(0)).toEqual(['a1', 'a2']);
  });
});

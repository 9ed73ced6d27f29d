import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Token } from '../../../../coordinator/domain/token.ts';
import {
  columnsFrom,
  newColumns,
  type UnitColumns,
  type UnitState,
} from '../../../../coordinator/domain/unit-columns.ts';

const SMALL = 64;
const LARGE = 65;

type Change = (columns: UnitColumns) => void;

const unit = fc.integer({ min: 0, max: SMALL - 1 });
const byte = fc.oneof(fc.constant(255), fc.nat(255));
const twoBytes = fc.oneof(fc.constant(65_535), fc.nat(65_535));
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(unit, fc.nat(4)).map(
    ([u, to]): Change =>
      (c) =>
        c.setState(u, to as UnitState),
  ),
  fc.tuple(unit, twoBytes).map(
    ([u, to]): Change =>
      (c) =>
        c.setAttempts(u, to),
  ),
  fc.tuple(unit, byte).map(
    ([u, to]): Change =>
      (c) =>
        c.setFailureCount(u, to),
  ),
  fc.tuple(unit, byte).map(
    ([u, to]): Change =>
      (c) =>
        c.setLossCount(u, to),
  ),
  // Also numbers that two bytes do not hold: both forms must lose the same.
  fc.tuple(unit, fc.nat(200_000)).map(
    ([u, to]): Change =>
      (c) =>
        c.setAgent(u, to),
  ),
  fc.tuple(unit, fc.maxSafeNat()).map(
    ([u, to]): Change =>
      (c) =>
        c.setToken(u, to as Token),
  ),
);

function rowsOf(columns: UnitColumns): number[][] {
  return Array.from({ length: SMALL }, (_, at) => [
    columns.stateOf(at),
    columns.attemptsOf(at),
    columns.failureCountOf(at),
    columns.lossCountOf(at),
    columns.agentOf(at),
    columns.tokenOf(at),
  ]);
}

test('small tables hold what large ones do, whatever is written in whatever order', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const [packed, wide] = [newColumns(SMALL), newColumns(LARGE)];
      for (const apply of changes) {
        apply(packed);
        apply(wide);
      }
      expect(rowsOf(packed)).toEqual(rowsOf(wide));
      expect(rowsOf(columnsFrom(SMALL, packed.arrays()))).toEqual(rowsOf(packed));
      expect(rowsOf(columnsFrom(LARGE, wide.arrays()))).toEqual(rowsOf(wide));
    }),
  );
});

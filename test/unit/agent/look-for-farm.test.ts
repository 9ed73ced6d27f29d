import { expect, test } from 'vitest';
import { addressesOf } from '../../../agent/look-for-farm.ts';

const found = (farmId: string, address: string, isProven = true) => ({
  farmId,
  address,
  isProven,
  caSha256: '',
});

test('one farm, with all its coordinators; strangers are passed over', () => {
  expect(addressesOf([])).toBeUndefined();
  expect(addressesOf([found('evil', '10.0.0.9:1', false)])).toBeUndefined();
  const ours = [found('f', 'b:7400'), found('f', 'a:7400')];
  expect(addressesOf([...ours, found('evil', '10.0.0.9:1', false)])).toBe('a:7400,b:7400');
});

test('several farms with our token are refused in one line that lists them', () => {
  expect(() => addressesOf([found('f', 'b:7400'), found('g', 'a:7400')])).toThrow(
    '2 farms on this network have this token, at a:7400, b:7400: name one with --farm HOST:PORT',
  );
});

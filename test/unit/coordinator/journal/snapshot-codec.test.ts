import { expect, test } from 'vitest';
import { captureFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { emptyFarm } from '../../../../coordinator/domain/farm.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';

const REIGN = { epoch: 3, id: 'c3', firstSequence: 6, acceptsLoss: true };
const tail = {
  farmId: 'farm',
  epoch: 3,
  reignId: REIGN.id,
  number: 7,
  sequence: 7,
  hash: 'ab'.repeat(32),
};

function snapshot(): Uint8Array {
  const farm = Object.assign(emptyFarm(), { farmId: 'farm', epoch: 3, lastJob: 12 });
  farm.reigns.push(REIGN);
  return encodeSnapshot({ farm: captureFarm(farm), tail });
}

test('a snapshot brings back the tail that it stands behind', () => {
  expect(decodeSnapshot(snapshot()).tail).toEqual(tail);
});

test('a snapshot brings back who led', () => {
  expect(decodeSnapshot(snapshot()).farm.reigns).toEqual([REIGN]);
});

test('one altered byte, wherever it is, makes a snapshot one that cannot be started from', () => {
  const { length } = snapshot();
  for (let at = 0; at < length; at += 1) {
    const altered = snapshot();
    altered[at]! ^= 1;
    expect(() => decodeSnapshot(altered)).toThrow(
      expect.objectContaining({ reason: 'SNAPSHOT_DAMAGED' }),
    );
  }
});

test('so does a missing end', () => {
  const whole = snapshot();
  for (let length = 0; length < whole.length; length += 1) {
    expect(() => decodeSnapshot(whole.subarray(0, length))).toThrow(
      expect.objectContaining({ reason: 'SNAPSHOT_DAMAGED' }),
    );
  }
});

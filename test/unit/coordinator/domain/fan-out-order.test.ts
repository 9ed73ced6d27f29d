import { expect, test } from 'vitest';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { fileNamed, forEach, FarmDriver, step } from '../../../support/farm-driver.ts';

const PIECES = [40, 10, 90, 90, 20];

function split(sizes: readonly number[]): FarmDriver {
  const driver = new FarmDriver();
  driver.enrol('a1', { cpuMillis: 1_000 });
  const outputs = [{ pattern: '*', keep: false, optional: false }];
  driver.submit([
    step('split', { outputs }),
    step('encode', { parameters: forEach('split', '*') }),
  ]);
  driver.place();
  driver.beatHolding('a1');
  driver.report(driver.leasesOf('a1'), {
    state: 'succeeded',
    outputs: sizes.map((sizeBytes, index) => ({ ...fileNamed(`piece-${index}`), sizeBytes })),
  });
  return driver;
}

/** Units in the order in which they were granted, one after another. */
function grantedBy(driver: FarmDriver): number[] {
  const units: number[] = [];
  for (let grants = driver.place(); grants.length > 0; grants = driver.place()) {
    units.push(...grants.flatMap((grant) => grant.units));
    driver.beatHolding('a1');
    driver.report(driver.leasesOf('a1'));
  }
  return units;
}

test('of a fan-out the unit with the largest input starts first', () => {
  const driver = split(PIECES);
  const image = farmImage(driver.farm);
  expect(farmImage(driver.replayed())).toBe(image);
  expect(farmImage(restoreFarm(captureFarm(driver.farm)))).toBe(image);
  expect(grantedBy(driver)).toEqual([2, 3, 0, 4, 1]);
});

test('inputs of one size keep their order, and so do very many', () => {
  expect(grantedBy(split([5, 5, 5]))).toEqual([0, 1, 2]);
  const many = Array.from({ length: 257 }, (_, index) => index);
  expect(grantedBy(split(many))).toEqual(many);
});

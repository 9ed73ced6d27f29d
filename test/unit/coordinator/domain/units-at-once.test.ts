import { expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import { unitsAtOnce } from '../../../../coordinator/domain/units-at-once.ts';
import { countOf, FarmDriver, step } from '../../../support/farm-driver.ts';

test('so many units as fit on agents that take them, whatever runs there now', () => {
  const driver = new FarmDriver();
  const atOnce = (cpuMillis: number): number => {
    const { farm, liveness, now } = driver;
    const seen = { farm, liveness, now, hearsAgents: true, grantsNothing: undefined };
    return unitsAtOnce({ ...seen, fractionOf: () => 0 }, { ...NO_DEMAND, cpuMillis });
  };
  expect(atOnce(1000)).toBe(0);
  driver.enrol('den', { cpuMillis: 4000 });
  driver.enrol('nas', { cpuMillis: 3000 });
  expect(atOnce(1000)).toBe(7);
  expect(atOnce(2000)).toBe(3);
  expect(atOnce(3500)).toBe(1);
  driver.submit([step('other', { parameters: countOf(7) })]);
  driver.place();
  driver.beatHolding('den');
  driver.beatHolding('nas');
  expect(atOnce(1000)).toBe(7);
  driver.decide({ type: 'DrainAgent', agent: 'nas', draining: true });
  expect(atOnce(1000)).toBe(4);
});

import { beforeEach, expect, test } from 'vitest';
import type { AgentPolicy } from '../../../../coordinator/domain/agent-policy.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { whyClosed } from '../../../../coordinator/domain/roster.ts';
import { viewOfAgent } from '../../../../coordinator/domain/views.ts';
import { EMPTY_TAIL } from '../../../../coordinator/journal/chain.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { OPEN_TERMS } from '../../../../proto/agent-policy.ts';
import { CAPACITY, countOf, failed, FarmDriver, step } from '../../../support/farm-driver.ts';

const NIGHTS: AgentPolicy = {
  ...OPEN_TERMS,
  mode: 'idle',
  onBusy: 'evict',
  hours: [{ days: [0, 6], startMinute: 1320, endMinute: 420 }],
  timeZone: 'Europe/Berlin',
  maxVramPercent: 0,
};

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
});

const set = (agent: string, policy: AgentPolicy | undefined) =>
  driver.decide({ type: 'SetAgentPolicy', agent, policy });
const record = () => driver.farm.agents.get('a1')!;

test('is set by id or name, shown, changed and cleared', () => {
  set('a1', NIGHTS);
  expect(viewOfAgent(record()).policy).toEqual(NIGHTS);
  set('a1-box', OPEN_TERMS);
  expect(record().policy).toEqual(OPEN_TERMS);
  set('a1', undefined);
  expect(record().policy).toBeUndefined();
  expect(driver.facts.filter(({ type }) => type === 'AgentPolicySet')).toHaveLength(3);
});

test('what holds already is no fact, and only a leader says so', () => {
  set('a1', NIGHTS);
  expect(set('a1', { ...NIGHTS })).toMatchObject({ facts: [], barrier: 'fresh' });
});

test('an agent that nobody knows is refused', () => {
  expect(set('nobody', NIGHTS).answer).toMatchObject({
    kind: 'refused',
    code: 'not-found',
    message: 'no agent is called "nobody": see furrow agents',
  });
});

test('is the same after a replay and after a snapshot, byte for byte', () => {
  driver.enrol('a2');
  set('a2', NIGHTS);
  const image = farmImage(driver.farm);
  expect(image).toContain('Europe/Berlin');
  expect(farmImage(driver.replayed())).toBe(image);
  const bytes = encodeSnapshot({ farm: captureFarm(driver.farm), tail: EMPTY_TAIL });
  expect(farmImage(restoreFarm(decodeSnapshot(bytes).farm))).toBe(image);
});

test('a closed agent gets nothing and says why; evicted units go first, at no cost, when it opens', () => {
  const job = driver.submit([step('work', { parameters: countOf(3) })]);
  driver.enrol('a1', { maxUnits: 1 });
  driver.place();
  driver.beatHolding('a1');
  const closedReason = 'it is outside its hours until 22:00';
  driver.beat('a1', { capacity: { ...CAPACITY, maxUnits: 1, closedReason } });
  const [running] = driver.leasesOf('a1');
  driver.report([running!], failed('evicted'));
  driver.beat('a1', { inventory: [] });
  expect(driver.place()).toEqual([]);
  const { liveness, now } = driver;
  expect(whyClosed(liveness, liveness.agents.get('a1')!, record(), now)).toBe(closedReason);

  driver.beat('a1', { capacity: { ...CAPACITY, maxUnits: 1 } });
  expect(driver.place().map(({ units }) => units)).toEqual([[running!.unit]]);
  const units = driver.job(job.number).steps[0]!.units!;
  expect(units.failureCountOf(running!.unit)).toBe(0);
  expect(units.lossCountOf(running!.unit)).toBe(0);
});

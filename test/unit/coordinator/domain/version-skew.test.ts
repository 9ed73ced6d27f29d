import { describe, expect, it } from 'vitest';
import {
  faultOfClient,
  faultOfVersion,
  upgradeWarning,
} from '../../../../coordinator/domain/version-skew.ts';
import { FarmDriver } from '../../../support/farm-driver.ts';

const fault = (version: string, coordinator: string): string | undefined =>
  faultOfVersion({ name: 'den', version }, coordinator);

describe('a client and a coordinator', () => {
  it.each([
    ['0.3.9', '0.3.0', undefined],
    ['0.2.0', '0.3.0', undefined],
    [
      '0.1.0',
      '0.3.0',
      'this client runs furrow 0.1.0, the coordinator 0.3.0, which works with clients of 0.2 and 0.3: upgrade the client to 0.3.0',
    ],
    [
      '0.4.0',
      '0.3.0',
      'this client runs furrow 0.4.0, the coordinator 0.3.0: upgrade the coordinator to 0.4 first, or install 0.3 on the client',
    ],
    [
      'x',
      '0.3.0',
      'this client says that it runs furrow "x", which is no version: install 0.3.0 on it',
    ],
  ])('%s with %s: %s', (client, coordinator, said) => {
    expect(faultOfClient(client, coordinator)).toBe(said);
  });
});

describe('an agent and a coordinator', () => {
  it.each([
    ['0.1.0', '0.1.0'],
    ['0.1.7', '0.1.0'],
    ['0.1.0', '0.1.7'],
    ['0.1.0', '0.2.0'],
    ['0.2.0-rc.1', '0.2.0'],
    ['0.9.0', '0.10.0'],
    ['1.3.9', '1.4.0'],
    ['2.0.1', '2.0.0'],
  ])('%s works with %s', (agent, coordinator) => {
    expect(fault(agent, coordinator)).toBeUndefined();
  });

  it.each([
    ['0.1.0', '0.3.0', 'which works with agents of 0.2 and 0.3: upgrade the agent to 0.3.0'],
    ['0.9.0', '0.11.2', 'which works with agents of 0.10 and 0.11: upgrade the agent to 0.11.2'],
    ['0.9.0', '1.0.0', 'which works with agents of 1.0: upgrade the agent to 1.0.0'],
    ['1.9.0', '2.1.0', 'which works with agents of 2.0 and 2.1: upgrade the agent to 2.1.0'],
  ])('%s is too old for %s', (agent, coordinator, remedy) => {
    const said = `agent den runs furrow ${agent}, the coordinator ${coordinator}, ${remedy}`;
    expect(fault(agent, coordinator)).toBe(said);
  });

  it.each([
    ['0.2.0', '0.1.9', 'upgrade the coordinator to 0.2 first, or install 0.1 on the agent'],
    ['0.10.0', '0.9.0', 'upgrade the coordinator to 0.10 first, or install 0.9 on the agent'],
    ['1.0.0', '0.9.0', 'upgrade the coordinator to 1.0 first, or install 0.9 on the agent'],
  ])('%s is too new for %s', (agent, coordinator, remedy) => {
    const said = `agent den runs furrow ${agent}, the coordinator ${coordinator}: ${remedy}`;
    expect(fault(agent, coordinator)).toBe(said);
  });

  it.each([
    '',
    '1',
    '0.1',
    'v0.1.0',
    '0.1.x',
    '0.1.0 ',
    '0.1.0.0',
    '-0.1.0',
    '0.1.0-',
    '9'.repeat(99),
  ])('%j is no version', (agent) =>
    expect(fault(agent, '0.1.0')).toMatch(/which is no version: install 0\.1\.0 on it$/),
  );
});

describe('who should be upgraded', () => {
  it('is nobody while all are of one minor version', () => {
    expect(upgradeWarning([{ name: 'a', version: '0.2.1' }], '0.2.0')).toBeUndefined();
    expect(upgradeWarning([], '0.2.0')).toBeUndefined();
  });

  it('is named, five at most', () => {
    const agents = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => ({ name, version: '0.1.0' }));
    expect(upgradeWarning([{ name: 'new', version: '0.2.0' }, agents[0]!], '0.2.0')).toBe(
      'older than this coordinator: a (0.1.0): upgrade to 0.2.0 before the coordinator goes to 0.3',
    );
    expect(upgradeWarning(agents, '0.2.0')).toContain('e (0.1.0), 2 more: upgrade to 0.2.0');
  });
});

describe('an enrolment', () => {
  const enrol = (driver: FarmDriver, version: string, coordinatorVersion: string) =>
    driver.ask({
      type: 'EnrolAgent',
      agentId: 'den',
      name: 'den',
      version,
      coordinatorVersion,
      machineFingerprint: 'm',
    });

  it('of the previous minor version is taken, and again after the agent was upgraded', () => {
    const driver = new FarmDriver();
    expect(enrol(driver, '0.1.0', '0.2.0').kind).not.toBe('refused');
    expect(driver.farm.agents.get('den')?.version).toBe('0.1.0');
    enrol(driver, '0.2.0', '0.2.0');
    expect(driver.farm.agents.get('den')?.version).toBe('0.2.0');
  });

  it('of any other leaves the agent as it was', () => {
    const driver = new FarmDriver();
    enrol(driver, '0.1.0', '0.1.0');
    for (const version of ['0.1.0', '0.4.0']) {
      expect(enrol(driver, version, '0.3.0')).toMatchObject({
        kind: 'refused',
        code: 'failed-precondition',
        reason: 'AGENT_VERSION',
      });
    }
    expect(driver.farm.agents.get('den')?.version).toBe('0.1.0');
  });
});

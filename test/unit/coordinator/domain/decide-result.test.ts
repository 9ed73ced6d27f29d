import { beforeEach, describe, expect, test } from 'vitest';
import { tokenOf } from '../../../../coordinator/domain/token.ts';
import {
  countOf,
  FarmDriver,
  failed,
  LEASE_TTL_MS,
  step,
  succeededWith,
} from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  driver.enrol('a1');
  driver.submit([step('work', { parameters: countOf(2) }), step('last', { dependsOn: ['work'] })]);
  driver.place();
});

describe('a result', () => {
  test('with the current token is accepted, and so is its repeat, once', () => {
    const [lease] = driver.leasesOf('a1');
    expect(driver.report([lease!])).toEqual([{ kind: 'accepted' }]);
    expect(driver.report([lease!])).toEqual([{ kind: 'accepted' }]);
    expect(driver.facts.filter((fact) => fact.type === 'ResultsAccepted')).toHaveLength(1);
  });

  test('twice in one batch gets one answer', () => {
    const [lease] = driver.leasesOf('a1');
    expect(driver.report([lease!, lease!])).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }]);
  });

  test('after expiry still wins while nobody else got the unit', () => {
    const [lease] = driver.leasesOf('a1');
    driver.pass(LEASE_TTL_MS);
    expect(driver.report([lease!])).toEqual([{ kind: 'accepted' }]);
  });

  test('of a token that was replaced is stale, and only after fresh proof', () => {
    const [lease] = driver.leasesOf('a1');
    driver.pass(LEASE_TTL_MS);
    driver.enrol('a2');
    driver.place();
    const decision = driver.decide({
      type: 'ReportResults',
      agentId: 'a1',
      session: lease!.session,
      results: [
        {
          token: lease!.token,
          job: 1,
          step: 'work',
          unit: lease!.unit,
          outcome: { state: 'succeeded', outputs: [] },
          runMs: 1_000,
          peak: { ramBytes: 0, vramBytes: 0 },
          missingBlobs: [],
        },
      ],
    });
    expect(decision.answer).toEqual({ kind: 'verdicts', verdicts: [{ kind: 'stale' }] });
    expect(decision.barrier).toBe('fresh');
    expect(decision.facts).toEqual([]);
  });

  // Tokens can be guessed.
  test.each(['running', 'expired', 'accepted'])(
    'of a lease of another agent is stale, %s or not',
    (state) => {
      const [lease] = driver.leasesOf('a1');
      driver.enrol('thief');
      if (state === 'expired') driver.pass(LEASE_TTL_MS);
      if (state === 'accepted') driver.report([lease!]);
      const { token, unit, session } = lease!;
      const outcome = { state: 'succeeded', outputs: [] } as const;
      const peak = { ramBytes: 0, vramBytes: 0 };
      const result = { token, job: 1, step: 'work', unit, outcome, runMs: 1, peak };
      const decision = driver.decide({
        type: 'ReportResults',
        agentId: 'thief',
        session,
        results: [{ ...result, missingBlobs: [] }],
      });
      expect(decision.answer).toEqual({ kind: 'verdicts', verdicts: [{ kind: 'stale' }] });
      expect(decision.facts).toEqual([]);
    },
  );

  test('of a later reign gets no answer', () => {
    const [lease] = driver.leasesOf('a1');
    expect(driver.report([{ ...lease!, token: tokenOf(2, 1) }])).toEqual([{ kind: 'none' }]);
  });

  test('of an unknown job or unit is stale', () => {
    const [lease] = driver.leasesOf('a1');
    driver.submit([step('other')]);
    expect(driver.report([{ ...lease!, job: 2 }])).toEqual([{ kind: 'stale' }]);
    expect(driver.report([{ ...lease!, unit: 99 }])).toEqual([{ kind: 'stale' }]);
  });

  test('whose outputs are not stored is asked for again and changes nothing', () => {
    const [lease] = driver.leasesOf('a1');
    const facts = driver.facts.length;
    const answer = driver.ask({
      type: 'ReportResults',
      agentId: 'a1',
      session: lease!.session,
      results: [
        {
          token: lease!.token,
          job: 1,
          step: 'work',
          unit: lease!.unit,
          outcome: succeededWith('out'),
          runMs: 1_000,
          peak: { ramBytes: 0, vramBytes: 0 },
          missingBlobs: ['a'.repeat(64)],
        },
      ],
    });
    expect(answer).toMatchObject({
      verdicts: [{ kind: 'blob-missing', missing: ['a'.repeat(64)] }],
    });
    expect(driver.facts).toHaveLength(facts);
  });

  test('that names a file outside its directory is bad output', () => {
    const [lease] = driver.leasesOf('a1');
    expect(driver.report([lease!], succeededWith('../../etc/passwd'))).toEqual([{ kind: 'noted' }]);
    expect(driver.facts.at(-1)).toMatchObject({ type: 'LeaseEnded', kind: 'bad-output' });
  });

  test('that names more files than a commit holds is bad output, not offered for ever', () => {
    const [lease] = driver.leasesOf('a1');
    const names = Array.from({ length: 3_000 }, (_, index) => `frame-${index}.png`);
    expect(driver.report([lease!], succeededWith(...names))).toEqual([{ kind: 'noted' }]);
    expect(driver.facts.at(-1)).toMatchObject({ kind: 'bad-output' });
  });

  test('frees the agent at once', () => {
    driver.report(driver.leasesOf('a1'));
    expect(driver.farm.agents.get('a1')?.booking.cpuMillis).toBe(0);
    expect(driver.place().map((grant) => grant.step)).toEqual([1]);
  });

  test('of a failure after expiry is noted and ends nothing twice', () => {
    const [lease] = driver.leasesOf('a1');
    driver.pass(LEASE_TTL_MS);
    const facts = driver.facts.length;
    expect(driver.report([lease!], failed('failed'))).toEqual([{ kind: 'noted' }]);
    expect(driver.facts).toHaveLength(facts);
  });
});

/** A farm that stands still is seen, said, and helped: but only one that does. */
import { beforeEach, describe, expect, test } from 'vitest';
import { NO_DEMAND } from '../../../../coordinator/domain/demand.ts';
import {
  type StallStep,
  StallWatch,
  stallWarning,
} from '../../../../coordinator/domain/stall-watch.ts';
import { countOf, failed, FarmDriver, step } from '../../../support/farm-driver.ts';

const LOOK_MS = 5_000;

let driver: FarmDriver;
let watch: StallWatch;
let seenFacts: number;
beforeEach(() => {
  driver = new FarmDriver();
  watch = new StallWatch();
  seenFacts = 0;
  // It has looked on for a while.
  look();
});

/** A look of the watch, as ticks give it; agents beat meanwhile as `beat` says. */
function look(beat: () => void = () => {}): readonly StallStep[] {
  driver.nowMs += LOOK_MS;
  beat();
  for (const fact of driver.facts.slice(seenFacts)) watch.note(fact);
  seenFacts = driver.facts.length;
  return watch.look(driver.farm, driver.liveness, driver.now);
}

/** States of the steps by seconds, for so long. */
function stepsWithin(seconds: number, beat?: () => void): [number, string, string][] {
  const startMs = driver.nowMs;
  const steps: [number, string, string][] = [];
  while (driver.nowMs - startMs < seconds * 1000) {
    for (const { state, stall } of look(beat)) {
      steps.push([(driver.nowMs - startMs) / 1000, state, stall.cause]);
    }
  }
  return steps;
}

/** Everything that is granted is refused. */
function refuseAll(): void {
  for (const grant of driver.place()) {
    const { agentId, session, grantNumber } = grant;
    const tokens = driver.leasesOf(agentId).map(({ token }) => token);
    const refused = tokens.map((token) => ({ token, reason: 'a broken disk' }));
    driver.decide({
      type: 'GrantAnswered',
      agentId,
      session,
      grantNumber,
      answer: { state: 'answered', refused },
    });
  }
  driver.beat('den');
}

describe('placement that overlooks what has room', () => {
  test('is seen after half a minute; everything is offered again, agents are asked, then at growing pauses', () => {
    driver.enrol('den');
    driver.submit([step('work')]);
    const steps = stepsWithin(600, () => void driver.beat('den'));
    expect(steps).toEqual([
      [35, 'noticed', 'overlooked'],
      [35, 'offer-again', 'overlooked'],
      [45, 'ask-agents', 'overlooked'],
      [95, 'offer-again', 'overlooked'],
      [105, 'ask-agents', 'overlooked'],
      [215, 'offer-again', 'overlooked'],
      [225, 'ask-agents', 'overlooked'],
      [455, 'offer-again', 'overlooked'],
      [465, 'ask-agents', 'overlooked'],
    ]);
    expect(watch.stall).toMatchObject({
      agentIds: ['den'],
      unitId: 'j1/work/0',
      job: 'j1',
      units: 1,
    });
    expect(stallWarning(watch.stall!, driver.nowMs)).toBe(
      '1 unit waits and nothing is granted although there is room, for 10 min now: j1/work/0 waits: there is room on den-box, where it is offered next; see furrow explain j1',
    );
    driver.place();
    expect(look().map(({ state, forMs }) => [state, forMs])).toEqual([['over', 600_000]]);
    expect(watch.stall).toBeUndefined();
  });

  test('is seen sooner the more units wait, and also while other units run', () => {
    driver.enrol('den');
    driver.submit([step('other')]);
    driver.place();
    driver.submit([step('work', { parameters: countOf(1_000) })]);
    expect(stepsWithin(30, () => void driver.beatHolding('den'))).toEqual([
      [30, 'noticed', 'overlooked'],
      [30, 'offer-again', 'overlooked'],
    ]);
  });
});

describe('a farm where nothing runs', () => {
  test('because its agent refuses everything', () => {
    driver.enrol('den');
    driver.submit([step('work')]);
    const [noticed, offered] = stepsWithin(40, refuseAll);
    expect([noticed, offered]).toEqual([
      [35, 'noticed', 'idle'],
      [35, 'offer-again', 'idle'],
    ]);
    expect(watch.stall?.why).toBe(
      'waits: no agent takes it just now; before that it was refused on den-box: a broken disk',
    );
    expect(watch.stall?.agentIds).toEqual(['den']);
  });

  test('because nobody could run what waits: that is said once, and nothing is tried', () => {
    driver.submit([step('work', { demand: { ...NO_DEMAND, cpuMillis: 64_000 } })]);
    driver.enrol('den');
    expect(stepsWithin(300, () => void driver.beat('den'))).toEqual([
      [35, 'noticed', 'no-capacity'],
    ]);
    expect(stallWarning(watch.stall!, driver.nowMs)).toBe(
      '1 unit waits and nothing runs, for 5 min now: j1/work/0 waits: no agent could run it; see furrow explain j1',
    );
  });

  test('goes on with the first result', () => {
    driver.enrol('den');
    driver.submit([step('work', { parameters: countOf(2) })]);
    stepsWithin(40, refuseAll);
    driver.nowMs += 60_000;
    driver.beat('den');
    driver.place();
    driver.beatHolding('den');
    expect(look(() => void driver.beatHolding('den')).map(({ state }) => state)).toEqual(['over']);
  });
});

describe('no stall is', () => {
  test.each<[string, () => void, (() => void) | undefined]>([
    ['an empty farm', () => driver.enrol('den'), undefined],
    [
      'one that is full',
      () => {
        driver.enrol('den');
        driver.submit([step('work', { parameters: countOf(9) })]);
        driver.place();
      },
      () => void driver.beatHolding('den'),
    ],
    [
      'a paused job',
      () => {
        driver.enrol('den');
        driver.submit([step('work')]);
        driver.decide({ type: 'PauseJob', job: 1, reason: '' });
      },
      () => void driver.beat('den'),
    ],
    [
      'one whose units are so short that none is seen to run',
      () => {
        driver.enrol('den');
        driver.submit([step('work', { parameters: countOf(1_000) })]);
      },
      () => {
        driver.place();
        driver.report(driver.leasesOf('den'));
        driver.beat('den', { grantsHandled: driver.liveness.agents.get('den')!.lastGrantNumber });
      },
    ],
    [
      'one whose units fail',
      () => {
        driver.enrol('den');
        driver.submit([step('work', { parameters: countOf(100) })]);
      },
      () => {
        driver.place();
        driver.report(driver.leasesOf('den'), failed('infrastructure'));
        driver.beat('den', { grantsHandled: driver.liveness.agents.get('den')!.lastGrantNumber });
      },
    ],
  ])('%s', (_what, begin, beat) => {
    begin();
    expect(stepsWithin(120, beat)).toEqual([]);
  });

  test('a unit that waits for its next attempt', () => {
    driver.enrol('den');
    driver.submit([step('work')]);
    driver.place();
    driver.report(driver.leasesOf('den'), failed('failed'));
    const [retry] = driver.job(1).steps[0]!.units!.delayed;
    // The wall clock stands: it is not due.
    const { now } = driver;
    expect(retry!.notBeforeMs).toBeGreaterThan(now.wallMs);
    for (let at = 0; at < 20; at += 1) {
      const later = { monotonicMs: now.monotonicMs + at * LOOK_MS, wallMs: now.wallMs };
      expect(watch.look(driver.farm, driver.liveness, later)).toEqual([]);
    }
  });

  test('a time in which nobody looked: the journal was away, or the process slept', () => {
    driver.enrol('den');
    driver.submit([step('work')]);
    expect(stepsWithin(25, () => void driver.beat('den'))).toEqual([]);
    driver.nowMs += 60_000;
    expect(stepsWithin(30, () => void driver.beat('den'))).toEqual([]);
  });
});

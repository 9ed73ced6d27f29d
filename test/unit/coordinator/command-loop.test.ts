/** When the single writer says what: the journal's outcomes are handed out by the test, one by one. */
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Clock } from '../../../kit/clock.ts';
import { CommandLoop } from '../../../coordinator/command-loop.ts';
import { apply } from '../../../coordinator/domain/apply.ts';
import type { GrantOrder } from '../../../coordinator/domain/assignment.ts';
import type { Command, ReportResults } from '../../../coordinator/domain/commands.ts';
import type { StopOrder } from '../../../coordinator/domain/decision.ts';
import type { Fact } from '../../../coordinator/domain/facts.ts';
import { emptyFarm, type Farm } from '../../../coordinator/domain/farm.ts';
import type { Beat } from '../../../coordinator/domain/beats.ts';
import { newLiveness } from '../../../coordinator/domain/liveness.ts';
import type { AppendOutcome, Committed, Effects, Journal } from '../../../coordinator/ports.ts';
import type { StallStep } from '../../../coordinator/domain/stall-watch.ts';
import { PlacementScope } from '../../../coordinator/domain/placement-scope.ts';
import { tokenOf } from '../../../coordinator/domain/token.ts';
import { folderFilms, stepsOfFolder } from '../../support/folder-films.ts';
import {
  CAPACITY,
  countOf,
  held,
  LEASE_TTL_MS,
  step,
  submitJob,
} from '../../support/farm-driver.ts';

/** Appends wait until the test says how they went. */
class HandHeldJournal implements Journal {
  readonly maxCommitBytes = 512 * 1024;
  readonly appended: (readonly Fact[])[] = [];
  #settle: ((outcome: AppendOutcome) => void) | undefined;

  measure(fact: Fact): number {
    return JSON.stringify(fact).length;
  }

  append(facts: readonly Fact[]): Promise<AppendOutcome> {
    if (this.#settle !== undefined) throw new Error('two appends are in flight');
    this.appended.push(facts);
    return new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get isInFlight(): boolean {
    return this.#settle !== undefined;
  }

  async settle(outcome: AppendOutcome): Promise<void> {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(outcome);
    await idle();
  }

  async commit(): Promise<void> {
    const number = this.appended.length;
    await this.settle({ state: 'committed', number, sequence: number });
  }
}

class HandHeldClock implements Clock {
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_800_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Time passes evenly: every timer fires at its own moment. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined || due.atMs > untilMs) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
      await idle();
    }
    this.#nowMs = untilMs;
    await idle();
  }

  /** The process stands still: what was due fires late, all at once. */
  async stall(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.pass(0);
  }
}

class RecordedEffects implements Effects {
  readonly grants: GrantOrder[] = [];
  readonly stops: StopOrder[] = [];
  readonly retracts: StopOrder[] = [];
  readonly commits: Committed[] = [];
  readonly superseding: string[] = [];
  readonly stallSteps: StallStep[] = [];

  grant(order: GrantOrder): void {
    this.grants.push(order);
  }

  retract(order: StopOrder): void {
    this.retracts.push(order);
  }

  stop(order: StopOrder): void {
    this.stops.push(order);
  }

  committed(commit: Committed): void {
    this.commits.push(commit);
  }

  stalled(step: StallStep): void {
    this.stallSteps.push(step);
  }

  superseded(message: string): void {
    this.superseding.push(message);
  }
}

/** No promise has anything left to do. */
function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

let farm: Farm;
let journal: HandHeldJournal;
let clock: HandHeldClock;
let effects: RecordedEffects;
let loop: CommandLoop;

beforeEach(() => {
  farm = emptyFarm();
  apply(farm, { type: 'FarmCreated', farmId: 'farm', atMs: 0 });
  apply(farm, {
    type: 'EpochStarted',
    epoch: 1,
    reignId: 'a1',
    sequence: 1,
    acceptsLoss: false,
    atMs: 0,
  });
  journal = new HandHeldJournal();
  clock = new HandHeldClock();
  effects = new RecordedEffects();
  loop = new CommandLoop({ farm, liveness: newLiveness(LEASE_TTL_MS), journal, clock, effects });
});

interface Asked {
  answer: unknown;
}

/** Asks, and shows what was said so far. */
function ask(command: Command): Asked {
  const asked: Asked = { answer: undefined };
  loop.submit(command).then(
    (answer) => {
      asked.answer = answer;
    },
    (error: { reason: string }) => {
      asked.answer = error.reason;
    },
  );
  return asked;
}

let beats = 0;
function beat(over: Partial<Beat> = {}): Beat {
  beats += 1;
  return {
    agentId: 'a1',
    session: 's1',
    beat: beats,
    machineFingerprint: 'm',
    capacity: CAPACITY,
    inventory: [],
    grantsHandled: 0,
    workPlaneUp: true,
    leaving: false,
    ...over,
  };
}

/** An agent that is known and has beaten once; nothing is in flight afterwards. */
async function enrol(): Promise<void> {
  const machineFingerprint = 'm';
  const versions = { version: '1.0.0', coordinatorVersion: '1.0.0' };
  ask({ type: 'EnrolAgent', agentId: 'a1', name: 'box', machineFingerprint, ...versions });
  await idle();
  await journal.commit();
  loop.beat(beat());
  await idle();
}

function submit(clientId: string, units = 1): Asked {
  return ask(submitJob([step('work', { parameters: countOf(units) })], { clientId }));
}

function staleReport(): ReportResults {
  const outcome = { state: 'succeeded', outputs: [] } as const;
  const result = {
    token: tokenOf(1, 9),
    job: 1,
    step: 'work',
    unit: 0,
    outcome,
    runMs: 1_000,
    peak: { ramBytes: 0, vramBytes: 0 },
    missingBlobs: [],
  };
  return { type: 'ReportResults', agentId: 'a1', session: 's1', results: [result] };
}

describe('nothing is said before its commit', () => {
  test('a submit is answered when its append is certain', async () => {
    const asked = submit('one');
    await idle();
    expect(journal.appended).toHaveLength(1);
    expect(asked.answer).toBeUndefined();
    await journal.commit();
    expect(asked.answer).toMatchObject({ kind: 'job', job: 1 });
  });

  test('a repeat of a submit that is in flight waits for that append', async () => {
    submit('one');
    await idle();
    const again = submit('one');
    await idle();
    expect(again.answer).toBeUndefined();
    await journal.commit();
    expect(again.answer).toMatchObject({ kind: 'job', job: 1, repeated: true });
    expect(journal.appended).toHaveLength(1);
  });

  test('grants go out with their commit, as does the view of the job', async () => {
    await enrol();
    submit('one', 2);
    await idle();
    expect(effects.grants).toEqual([]);
    await journal.commit();
    expect(effects.grants).toMatchObject([{ agentId: 'a1', number: 1 }]);
    expect(effects.commits.at(-1)?.views).toMatchObject([{ id: 'j1', state: 'running' }]);
  });

  test('a read shows only what is on disk', async () => {
    submit('one');
    let seen: number | undefined;
    void loop
      .read((current) => current.jobs.size)
      .then((size) => {
        seen = size;
      });
    await idle();
    expect(seen).toBeUndefined();
    await journal.commit();
    expect(seen).toBe(1);
  });

  test('a cancelled job’s units are stopped after the commit', async () => {
    await enrol();
    submit('one');
    await idle();
    await journal.commit();
    ask({ type: 'CancelJob', job: 1, reason: '' });
    await idle();
    expect(effects.stops).toEqual([]);
    await journal.commit();
    expect(effects.stops).toMatchObject([{ agentId: 'a1' }]);
  });
});

test.each([true, false])(
  'an agent is told at once, after the commit: draining %s',
  async (draining) => {
    await enrol();
    apply(farm, { type: 'AgentDrainChanged', agentId: 'a1', draining: !draining, atMs: 0 });
    ask({ type: 'DrainAgent', agent: 'a1', draining });
    await idle();
    expect(effects.stops).toEqual([]);
    await journal.commit();
    expect(effects.stops).toEqual([{ agentId: 'a1', tokens: [] }]);
  },
);

describe('refusals that destroy work', () => {
  test('STALE waits for a commit that began after the question, empty if need be', async () => {
    submit('one');
    await idle();
    const stale = ask(staleReport());
    await idle();
    // The append in flight began before: it proves nothing.
    await journal.commit();
    expect(stale.answer).toBeUndefined();
    expect(journal.appended.at(-1)).toEqual([]);
    await journal.commit();
    expect(stale.answer).toEqual({ kind: 'verdicts', verdicts: [{ kind: 'stale' }] });
  });

  test('a stop of what an inventory lists without right waits in the same way', async () => {
    await enrol();
    loop.beat(beat({ inventory: [held(tokenOf(1, 77), 'running')] }));
    await idle();
    expect(effects.stops).toEqual([]);
    await journal.commit();
    expect(effects.stops).toEqual([{ agentId: 'a1', tokens: [tokenOf(1, 77)] }]);
  });

  test('that something is not there, or is so already, waits in the same way', async () => {
    submit('one');
    await idle();
    await journal.commit();
    const pause: Command = { type: 'PauseJob', job: 1, reason: '' };
    ask(pause);
    await idle();
    await journal.commit();
    const asked = [ask({ type: 'CancelJob', job: 9, reason: '' }), ask(pause)];
    let isConfirmed = false;
    void loop.confirmLead().then(() => (isConfirmed = true));
    await idle();
    expect(asked.map(({ answer }) => answer)).toEqual([undefined, undefined]);
    expect(isConfirmed).toBe(false);
    await journal.commit();
    expect(asked.map(({ answer }) => answer)).toMatchObject([
      { kind: 'refused', reason: 'JOB_UNKNOWN' },
      { kind: 'job', job: 1, repeated: true },
    ]);
    expect(isConfirmed).toBe(true);
  });

  test('whoever asks for what is unknown hears that the journal is in doubt, before and after', async () => {
    const before = loop.confirmLead();
    void before.catch(() => {});
    await clock.pass(1_500);
    await expect(before).rejects.toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
    await expect(loop.confirmLead()).rejects.toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
  });

  test('one who is superseded says neither', async () => {
    await enrol();
    const stale = ask(staleReport());
    loop.beat(beat({ inventory: [held(tokenOf(1, 77), 'running')] }));
    await idle();
    await journal.settle({ state: 'superseded', message: 'another leads' });
    expect(stale.answer).toBeUndefined();
    expect(effects.stops).toEqual([]);
    expect(effects.superseding).toEqual(['another leads']);
  });
});

describe('group commit', () => {
  test('gathers what arrives while an append is in flight', async () => {
    submit('first');
    await idle();
    const asked = ['a', 'b', 'c'].map((client) => submit(client));
    await idle();
    expect(journal.appended).toHaveLength(1);
    await journal.commit();
    expect(journal.appended).toHaveLength(2);
    expect(journal.appended[1]).toHaveLength(3);
    expect(asked.map(({ answer }) => answer)).toEqual([undefined, undefined, undefined]);
    await journal.commit();
    expect(asked.map(({ answer }) => answer)).toMatchObject([{ job: 2 }, { job: 3 }, { job: 4 }]);
  });

  test('appends nothing when nothing was decided', async () => {
    await enrol();
    const before = journal.appended.length;
    loop.beat(beat());
    await clock.pass(10_000);
    expect(journal.appended).toHaveLength(before);
  });

  test('refuses what no commit could hold', async () => {
    const name = 'x'.repeat(200);
    const steps = Array.from({ length: 900 }, (_, index) =>
      step(`s${index}`, {
        outputs: [1, 2, 3].map((n) => ({ pattern: `${n}${name}`, keep: true, optional: false })),
      }),
    );
    const asked = ask(submitJob(steps));
    await idle();
    expect(asked.answer).toMatchObject({ kind: 'refused', reason: 'JOB_TOO_LARGE' });
    expect(farm.jobs.size).toBe(0);
  });

  test('says before anything is uploaded how many films of a folder fit', async () => {
    const steps = stepsOfFolder(folderFilms(300));
    const asked = ask(submitJob(steps, { recipe: 'folder', validateOnly: true }));
    await idle();
    // This journal stores them one by one, and as text: that is for the figures alone.
    expect(asked.answer).toMatchObject({
      kind: 'refused',
      reason: 'JOB_TOO_LARGE',
      message: expect.stringMatching(
        /the most is 262144: about \d+ of the 300 films fit: submit several jobs$/,
      ) as string,
    });
    const few = ask(submitJob(steps.slice(0, 5), { recipe: 'folder', validateOnly: true }));
    await idle();
    expect(few.answer).toEqual({ kind: 'done' });
    expect(journal.appended).toEqual([]);
  });
});

describe('when an append comes in doubt', () => {
  test('who waits is told at once; asked again when it is over, it is the same job', async () => {
    const asked = submit('in flight');
    await idle();
    const behind = submit('behind');
    await clock.pass(999);
    expect([asked.answer, behind.answer]).toEqual([undefined, undefined]);
    await clock.pass(1);
    expect([asked.answer, behind.answer]).toEqual(Array(2).fill('JOURNAL_UNREACHABLE'));
    await journal.commit();
    await journal.commit();
    const again = ['in flight', 'behind'].map((client) => submit(client));
    await idle();
    expect(again.map(({ answer }) => answer)).toMatchObject([
      { job: 1, repeated: true },
      { job: 2, repeated: true },
    ]);
  });

  test('reads that wait are told at once', async () => {
    submit('one');
    await idle();
    const read = loop.read(() => 1).catch((error: unknown) => error);
    await clock.pass(1_000);
    expect(await read).toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
  });

  test('an agent’s results wait for their verdict', async () => {
    const stale = ask(staleReport());
    await idle();
    await clock.pass(5_000);
    expect(stale.answer).toBeUndefined();
    await journal.commit();
    expect(stale.answer).toEqual({ kind: 'verdicts', verdicts: [{ kind: 'stale' }] });
  });
});

describe('while an append is in doubt', () => {
  beforeEach(async () => {
    await enrol();
    submit('doubtful');
    await idle();
    await clock.pass(1_000);
  });

  test('submits and reads are refused, and status says so', async () => {
    expect(loop.standing.state).toBe('in-doubt');
    const asked = submit('next');
    await idle();
    expect(asked.answer).toBe('JOURNAL_UNREACHABLE');
    await expect(loop.read(() => 1)).rejects.toMatchObject({ reason: 'JOURNAL_UNREACHABLE' });
  });

  test('a stream that closed and opened again meanwhile is open afterwards', async () => {
    ask({ type: 'StreamClosed', agentId: 'a1', session: 's1' });
    loop.beat(beat());
    await journal.commit();
    submit('next');
    await idle();
    await journal.commit();
    expect(effects.grants).toHaveLength(2);
  });

  test('beats are answered', () => {
    expect(loop.beat(beat())).toEqual({ releasedGrant: 0, drain: false, probeAgain: false });
  });

  test('nothing expires; after it, those who kept beating keep their leases', async () => {
    for (let elapsedMs = 0; elapsedMs < 4 * LEASE_TTL_MS; elapsedMs += 3_000) {
      const inventory = [...farm.leases.keys()].map((token) => held(token, 'running', elapsedMs));
      loop.beat(beat({ inventory, grantsHandled: 1 }));
      await clock.pass(3_000);
    }
    expect(journal.appended.flat().map((fact) => fact.type)).not.toContain('LeaseEnded');
    await journal.commit();
    expect(loop.standing.state).toBe('ok');
    await clock.pass(1_000);
    expect(farm.leases.size).toBe(1);
  });

  test('it goes on when the append turns out to be stored', async () => {
    await journal.commit();
    const asked = submit('next');
    await idle();
    await journal.commit();
    expect(asked.answer).toMatchObject({ kind: 'job', job: 2 });
  });
});

describe('a refused append', () => {
  test('is offered again with the same facts until the store takes it', async () => {
    const asked = submit('one');
    await idle();
    await journal.settle({ state: 'refused', message: 'the store is full' });
    expect(loop.standing).toMatchObject({ state: 'refusing', message: 'the store is full' });
    expect(submit('two')).toEqual({ answer: undefined });
    await clock.pass(2_000);
    expect(journal.appended).toHaveLength(2);
    expect(journal.appended[1]).toBe(journal.appended[0]);
    expect(asked.answer).toBe('JOURNAL_UNREACHABLE');
    await journal.commit();
    expect(loop.standing.state).toBe('ok');
    expect(farm.jobs.get(1)?.clientId).toBe('one');
  });
});

describe('leading', () => {
  test('is proved now and then, also when there is nothing to write', async () => {
    await clock.pass(29_000);
    expect(journal.appended).toHaveLength(0);
    await clock.pass(2_000);
    expect(journal.appended).toEqual([[]]);
    await journal.settle({ state: 'superseded', message: 'another leads' });
    expect(effects.superseding).toEqual(['another leads']);
    await expect(loop.submit({ type: 'Tick' })).rejects.toMatchObject({ reason: 'STEPPED_DOWN' });
    expect(() => loop.beat(beat())).toThrow(/no longer leads/);
  });

  test('ends when the outcome of an append cannot be known', async () => {
    const asked = submit('one');
    await idle();
    loop.stop();
    await journal.commit();
    expect(asked.answer).toBeUndefined();
    expect(effects.commits).toEqual([]);
  });
});

test('a stall of our own costs nobody a lease', async () => {
  await enrol();
  submit('one');
  await idle();
  await journal.commit();
  const [token] = [...farm.leases.keys()];
  loop.beat(beat({ inventory: [held(token!, 'running')], grantsHandled: 1 }));
  await idle();
  await clock.stall(10 * LEASE_TTL_MS);
  expect([...farm.leases.keys()]).toEqual([token]);
});

test('an agent that is not known must enrol', () => {
  expect(() => loop.beat(beat())).toThrow(/enrol it again/);
});

describe('a farm that stands still', () => {
  test('because placement was told of nothing: all is looked at anew, and the unit is granted', async () => {
    // A bug in whoever should tell, and in the round of looks that would find it.
    const deaf = vi.spyOn(PlacementScope.prototype, 'markAgent').mockImplementation(() => {});
    onTestFinished(() => deaf.mockRestore());
    submit('one');
    await idle();
    await journal.commit();
    await enrol();
    const beatOn = async (seconds: number): Promise<void> => {
      for (let passed = 0; passed < seconds; passed += 1) {
        await clock.pass(1_000);
        loop.beat(beat({ capacity: undefined }));
        if (journal.isInFlight) await journal.commit();
      }
    };
    await beatOn(25);
    expect(effects.grants).toEqual([]);
    expect(effects.stallSteps).toEqual([]);
    await beatOn(20);
    expect(effects.stallSteps.map(({ state }) => state)).toEqual([
      'noticed',
      'offer-again',
      'over',
    ]);
    expect(effects.grants).toMatchObject([{ agentId: 'a1' }]);
    expect(loop.stallWarning).toBeUndefined();
  });

  test('is told to whoever asks how it is, with what it waits for', async () => {
    submit('one');
    await idle();
    await journal.commit();
    for (let passed = 0; passed < 50; passed += 1) {
      await clock.pass(1_000);
      if (journal.isInFlight) await journal.commit();
    }
    expect(effects.stallSteps).toMatchObject([
      { state: 'noticed', stall: { cause: 'no-capacity' } },
    ]);
    expect(loop.stallWarning).toMatch(
      /^1 unit waits and nothing runs, for \d+ s now: j1\/work\/0 waits: no agent is known; see furrow explain j1$/,
    );
  });

  test('one that does not tick any more says so', async () => {
    await clock.pass(1_000);
    expect(loop.stallWarning).toBeUndefined();
    loop.stop();
    await clock.pass(12_000);
    expect(loop.stallWarning).toMatch(/^the coordinator has not looked at its farm for 1[12] s/);
  });
});

/** The judge of a torture run bites: whatever is lost or doubled in a good record, it says so. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Commit, type Fact } from '../../../proto/gen/furrow/journal/v1/journal.ts';
import { Step } from '../../../proto/gen/furrow/v1/step.ts';
import type { ClientNote, Evidence, JobAtEnd, JournalMessage } from '../../torture/evidence.ts';
import { judge } from '../../torture/judge.ts';

type Kind = NonNullable<Fact['kind']>;

const PLAN = { kind: 'kept', steps: { kept: 2 }, inLedger: ['kept'] } as const;
const FILM = { kind: 'film', steps: { proof: 1 }, inLedger: [], source: 'closed.mp4' } as const;
const SLOW = { kind: 'slow', steps: { slow: 1 }, inLedger: ['slow'] } as const;

/** j1 keeps two files; j2 was cancelled while its unit ran; j3 is a film. */
const FACTS: readonly Kind[] = [
  submitted(1, 'one', 'kept'),
  submitted(2, 'two', 'slow'),
  submitted(3, 'three', 'proof'),
  granted(1, [0, 1], 1),
  granted(2, [0], 3),
  accepted(1, [0], [1]),
  { $case: 'jobCancelled', value: { job: 2, reason: '', atMs: 0 } },
  ended(2, 0, 3, 'cancelled'),
  ended(1, 1, 2, 'lost'),
  granted(1, [1], 4, 2),
  accepted(1, [1], [4], 2),
  granted(3, [0], 5),
  accepted(3, [0], [5]),
];

test('a good record has no findings', () => {
  expect(judge(record())).toEqual([]);
});

test('a job that was acknowledged and is not there', () => {
  expectFinding(record({ jobs: JOBS.slice(1) }), /j1 was acknowledged and is not known .*lost/);
  expectFinding(
    record({}, withoutFact('jobSubmitted')),
    /j1 was acknowledged and is not in the jou/,
  );
});

test('one client id, two jobs', () => {
  const twice: ClientNote = { note: 'acknowledged', clientId: 'one', jobId: 'j3', atMs: 0 };
  expectFinding(
    record({ clients: [...CLIENTS, twice] }),
    /one was acknowledged as j1 and as j3: dou/,
  );
  const facts = [...FACTS, submitted(4, 'one', 'kept')];
  expectFinding(record({}, facts), /the journal has 2 jobs of client id one: doubled/);
});

test('a lost unit', () => {
  const shorter = withStep('j1', { total: 1, accepted: 1, units: ['0:accepted'] });
  expectFinding(record({ jobs: shorter }), /j1\/kept has 1 units of 2: lost/);
  const unlisted = withStep('j1', { units: ['0:accepted'] });
  expectFinding(record({ jobs: unlisted }), /j1\/kept counts 2 units and lists 1/);
  expectFinding(
    record({}, without(accepted(1, [1], [4], 2))),
    /j1\/kept\/1 is shown as accepted and/,
  );
});

test('a unit that was accepted twice', () => {
  expectFinding(record({}, [...FACTS, accepted(1, [0], [1])]), /j1\/kept\/0 was accepted 2 times/);
});

test('a result accepted from whoever did not hold the lease', () => {
  expectFinding(
    record({}, [...FACTS, accepted(2, [0], [1])]),
    /with token 1\.1, which was granted for attempt 1 of j1/,
  );
  expectFinding(record({}, without(granted(3, [0], 5))), /accepted with token 1\.5, never granted/);
});

test('a stale worker that won', () => {
  const facts = [...FACTS.slice(0, 10), accepted(1, [1], [2]), ...FACTS.slice(11)];
  expectFinding(record({}, facts), /j1\/kept\/1 was accepted from token 1\.2, which was stale/);
  const lapsed = [...FACTS.slice(0, 9), accepted(1, [1], [2]), ...FACTS.slice(11)];
  const ledger = [...LEDGER.slice(0, 4), line('end', 'j1/kept/1', 1, '1.2')];
  expect(judge(record({ ledger }, lapsed)), 'expired and not granted anew still wins').toEqual([]);
});

test('a token that was granted twice', () => {
  expectFinding(
    record({}, [...FACTS, granted(3, [0], 4)]),
    /token 1\.4 was granted for j1\/kept\/1 and for/,
  );
});

test('a unit that was granted again after its result', () => {
  expectFinding(record({}, [...FACTS, granted(1, [0], 9)]), /j1\/kept\/0 was granted again/);
});

test('a unit that was accepted or granted after cancel', () => {
  const late = [...FACTS, granted(2, [0], 9), accepted(2, [0], [9])];
  expectFinding(record({}, late), /j2\/slow\/0 was accepted after its job was cancelled/);
  expectFinding(record({}, late), /j2\/slow\/0 was granted after its job was cancelled/);
});

test('a unit that was granted while its job was paused', () => {
  const paused: Kind = { $case: 'jobPaused', value: { job: 1, atMs: 0 } };
  const resumed: Kind = { $case: 'jobResumed', value: { job: 1, atMs: 0 } };
  const within = [...FACTS.slice(0, 9), paused, ...FACTS.slice(9)];
  expectFinding(
    record({}, within),
    /j1\/kept\/1 was granted \(token 1\.4\) while its job was paused/,
  );
  const before = [...FACTS.slice(0, 9), paused, resumed, ...FACTS.slice(9)];
  expect(judge(record({}, before))).toEqual([]);
});

test('a cancel that was undone', () => {
  expectFinding(
    record({ jobs: withState('j2', 'succeeded') }),
    /j2 ended as succeeded, not as cancell.*undone/,
  );
  expectFinding(
    record({}, withoutFact('jobCancelled')),
    /the cancel of j2 was acknowledged and is not in/,
  );
});

test('a job that nobody cancelled and that did not succeed', () => {
  expectFinding(
    record({ jobs: withState('j1', 'failed') }),
    /j1 ended as failed, not as succeeded/,
  );
  expectFinding(
    record({ jobs: withState('j1', 'cancelled') }),
    /j1 ended as cancelled, not as succe/,
  );
  expectFinding(record({ unfinished: ['j1 (one)'] }), /not ended within the bound: j1/);
});

test('what a client was told and is not so', () => {
  const told: ClientNote[] = [
    { note: 'ended', jobId: 'j1', state: 'failed', atMs: 0 },
    { note: 'accepted', units: ['j1/kept/7'] },
    { note: 'wrong', message: 'submit four: internal', atMs: 0 },
  ];
  const seen = record({ clients: [...CLIENTS, ...told] });
  expectFinding(seen, /told that j1 failed; at the end it is succeeded: undone/);
  expectFinding(seen, /told that j1\/kept\/7 was accepted; the journal does not have it/);
  expectFinding(seen, /a client was refused: submit four: internal/);
});

test('verdicts that the journal does not know', () => {
  const verdicts = [
    { agent: 'a1', token: '1.2', verdict: 'accepted' },
    { agent: 'a1', token: '1.1', verdict: 'stale' },
  ] as const;
  const seen = record({ verdicts });
  expectFinding(
    seen,
    /a1 was told that its result of j1\/kept\/1 \(token 1\.2\) is accepted; the jour/,
  );
  expectFinding(seen, /a1 was told STALE for j1\/kept\/0 \(token 1\.1\), which was accepted/);
});

test('an attempt that ran twice, or without a lease', () => {
  const again = { ...LEDGER[0]!, atMs: 50 };
  expectFinding(
    record({ ledger: [...LEDGER, again] }),
    /j1\/kept\/0 ran 2 times under one token 1\.1/,
  );
  const stolen = { ...LEDGER[0]!, token: '1.99' };
  expectFinding(
    record({ ledger: [...LEDGER, stolen] }),
    /ran under token 1\.99, which was not granted/,
  );
});

test('a unit that began after its result was accepted, unless a fault lay between', () => {
  const facts = [
    ...FACTS.slice(0, 4),
    granted(1, [0], 8, 2),
    ...FACTS.slice(4, 5),
    ...FACTS.slice(5).map((fact) => (fact === FACTS[5] ? accepted(1, [0], [1]) : fact)),
  ];
  const late = { what: 'begin', unitId: 'j1/kept/0', attempt: 2, token: '1.8', atMs: 500 } as const;
  const ledger = [...LEDGER, late];
  expectFinding(record({ ledger }, facts), /j1\/kept\/0 was begun \(token 1\.8\) after its result/);
  const faults = [{ kind: 'sleep', victim: 'a1 (agent)', fromMs: 100, toMs: 450 }];
  expect(judge(record({ ledger, faults }, facts))).toEqual([]);
  // A second copy may cross the result of the first lease, but not by seconds.
  const copied = facts.map((fact) => (fact === facts[4] ? granted(1, [0], 8, 2, true) : fact));
  expect(judge(record({ ledger }, copied))).toEqual([]);
  const later = [...LEDGER, { ...late, atMs: 5_000 }];
  expectFinding(record({ ledger: later }, copied), /j1\/kept\/0 was begun \(token 1\.8\) after/);
});

test('a result of a unit that never came to its end', () => {
  const ledger = LEDGER.filter(({ what, token }) => what === 'begin' || token !== '1.4');
  expectFinding(
    record({ ledger }),
    /j1\/kept\/1 was accepted \(token 1\.4\) and never came to its end/,
  );
});

test('failures that no fault of the farm explains', () => {
  const failed = [...FACTS.slice(0, 8), ended(1, 1, 2, 'failed'), ...FACTS.slice(9)];
  expectFinding(record({}, failed), /j1\/kept\/1 ended as failed, which no fault explains/);
  const gaveUp = [...FACTS.slice(0, 8), ended(1, 1, 2, 'lost', true), ...FACTS.slice(9)];
  expectFinding(record({}, gaveUp), /j1\/kept\/1 was given up after 1 losses on 1 agents/);
});

test('outputs that are wrong or missing', () => {
  const [first, second] = OUTPUTS;
  expectFinding(record({ outputs: [first!] }), /j1 has 1 outputs of 2: lost/);
  const wrong = { ...second!, sha256: 'ff' };
  expectFinding(record({ outputs: [first!, wrong] }), /output out-1 of j1 has the wrong content/);
  const gone = { ...second!, sha256: undefined };
  expectFinding(record({ outputs: [first!, gone] }), /output out-1 of j1 cannot be fetched: lost/);
});

test('films that are not whole', () => {
  const [film] = FILMS;
  expectFinding(record({ films: [] }), /the film of j3 cannot be fetched: lost/);
  expectFinding(
    record({ films: [{ ...film!, frames: 99 }] }),
    /the film of j3 has 99 frames, .* 100/,
  );
  expectFinding(record({ films: [{ ...film!, inOrder: false }] }), /j3 shows other frames/);
});

test('a journal with a hole, or that was written anew', () => {
  const whole = journalOf(FACTS);
  const holed = { ...record(), journal: whole.toSpliced(3, 1) };
  expectFinding(holed, /message 5 does not follow from the one before it/);
  const altered = record({ journalFaults: ['message 3 of the journal is not the one'] });
  expectFinding(altered, /message 3 of the journal is not the one/);
});

test('a standby that tells otherwise', () => {
  const disagreements = ['the standby c2 shows j1 otherwise than the leader'];
  expectFinding(record({ disagreements }), /the standby c2 shows j1 otherwise/);
});

test('what is left over, and who crashed', () => {
  expectFinding(record({ leftovers: ['a1 has 1 leases'] }), /left over: a1 has 1 leases/);
  expectFinding(record({ crashes: ['c1 ended with code 1'] }), /crashed: c1 ended with code 1/);
});

const CLIENTS: readonly ClientNote[] = [
  { note: 'asks', clientId: 'one', plan: PLAN, atMs: 0 },
  { note: 'acknowledged', clientId: 'one', jobId: 'j1', atMs: 0 },
  { note: 'asks', clientId: 'two', plan: SLOW, atMs: 0 },
  { note: 'acknowledged', clientId: 'two', jobId: 'j2', atMs: 0 },
  { note: 'cancelled', jobId: 'j2', atMs: 0 },
  { note: 'asks', clientId: 'three', plan: FILM, atMs: 0 },
  { note: 'acknowledged', clientId: 'three', jobId: 'j3', atMs: 0 },
  { note: 'accepted', units: ['j1/kept/0', 'j1/kept/1'] },
  { note: 'ended', jobId: 'j1', state: 'succeeded', atMs: 0 },
];

const LEDGER: Evidence['ledger'] = [
  line('begin', 'j1/kept/0', 1, '1.1'),
  line('end', 'j1/kept/0', 1, '1.1'),
  line('begin', 'j1/kept/1', 1, '1.2'),
  line('begin', 'j2/slow/0', 1, '1.3'),
  line('begin', 'j1/kept/1', 2, '1.4'),
  line('end', 'j1/kept/1', 2, '1.4'),
];

const JOBS: readonly JobAtEnd[] = [
  jobOf('j1', 'one', 'succeeded', 'kept', ['0:accepted', '1:accepted']),
  jobOf('j2', 'two', 'cancelled', 'slow', ['0:cancelled']),
  jobOf('j3', 'three', 'succeeded', 'proof', ['0:accepted']),
];

const OUTPUTS: Evidence['outputs'] = [0, 1].map((index) => ({
  jobId: 'j1',
  name: `out-${index}`,
  sha256: `0${index}`,
  expected: `0${index}`,
}));

const FILMS: Evidence['films'] = [
  { jobId: 'j3', source: 'closed.mp4', sourceFrames: 100, frames: 100, inOrder: true },
];

function record(more: Partial<Evidence> = {}, facts: readonly Kind[] = FACTS): Evidence {
  return {
    clients: CLIENTS,
    verdicts: [{ agent: 'a1', token: '1.1', verdict: 'accepted' }],
    ledger: LEDGER,
    journal: journalOf(facts),
    journalFaults: [],
    jobs: JOBS,
    outputs: OUTPUTS,
    films: FILMS,
    faults: [],
    starts: { fromSnapshot: 0, fromBeginning: 1, cutOff: 0 },
    leftovers: [],
    crashes: [],
    disagreements: [],
    unfinished: [],
    ...more,
  };
}

function expectFinding(evidence: Evidence, finding: RegExp): void {
  expect(judge(evidence)).toEqual(expect.arrayContaining([expect.stringMatching(finding)]));
}

/** One commit for each fact, each with the hash of the one before. */
function journalOf(facts: readonly Kind[]): readonly JournalMessage[] {
  let previousHash = '';
  return facts.map((kind, index) => {
    const commit: Commit = {
      farmId: 'farm',
      epoch: 1,
      writerId: Buffer.from('writer'),
      number: index + 1,
      previousHash: Buffer.from(previousHash, 'hex'),
      atMs: 0,
      facts: [{ kind }],
    };
    const hash = createHash('sha256').update(Commit.encode(commit).finish()).digest('hex');
    previousHash = hash;
    return { sequence: index + 1, hash, commit };
  });
}

function without(fact: Kind): readonly Kind[] {
  return FACTS.filter((each) => JSON.stringify(each) !== JSON.stringify(fact));
}

/** Without the first of its kind. */
function withoutFact(kind: Kind['$case']): readonly Kind[] {
  return FACTS.toSpliced(
    FACTS.findIndex(({ $case }) => $case === kind),
    1,
  );
}

function withState(jobId: string, state: string): readonly JobAtEnd[] {
  return JOBS.map((job) => (job.jobId === jobId ? { ...job, state } : job));
}

function withStep(jobId: string, more: Partial<JobAtEnd['steps'][number]>): readonly JobAtEnd[] {
  return JOBS.map((job) =>
    job.jobId === jobId ? { ...job, steps: job.steps.map((step) => ({ ...step, ...more })) } : job,
  );
}

function jobOf(
  jobId: string,
  clientId: string,
  state: string,
  name: string,
  units: readonly string[],
): JobAtEnd {
  const accepted = units.filter((unit) => unit.endsWith(':accepted')).length;
  const steps = [{ name, total: units.length, accepted, units }];
  return { jobId, clientId, state, reason: '', steps };
}

function line(
  what: 'begin' | 'end',
  unitId: string,
  attempt: number,
  token: string,
): Evidence['ledger'][number] {
  return { what, unitId, attempt, token, atMs: 100 };
}

function submitted(job: number, clientId: string, step: string): Kind {
  return {
    $case: 'jobSubmitted',
    value: {
      job,
      clientId,
      requestHash: '',
      name: '',
      priority: 0,
      recipe: 'steps',
      steps: [Step.fromPartial({ name: step })],
      atMs: 0,
    },
  };
}

function granted(
  job: number,
  units: readonly number[],
  firstCounter: number,
  attempt = 1,
  copy = false,
): Kind {
  return {
    $case: 'leasesGranted',
    value: {
      agentId: 'a1',
      session: 's',
      grantNumber: 1,
      job,
      step: 0,
      firstCounter,
      units,
      gpuIds: [],
      waiting: false,
      copy,
      atMs: 100,
      attempts: units.map(() => attempt),
    },
  };
}

function accepted(
  job: number,
  units: readonly number[],
  tokenCounters: readonly number[],
  attempt = 1,
): Kind {
  return {
    $case: 'resultsAccepted',
    value: {
      job,
      step: 0,
      units,
      tokenEpochs: units.map(() => 1),
      tokenCounters,
      outputs: [],
      agentId: 'a1',
      atMs: 200,
      attempts: units.map(() => attempt),
    },
  };
}

function ended(
  job: number,
  unit: number,
  tokenCounter: number,
  kind: string,
  gaveUp = false,
): Kind {
  return {
    $case: 'leaseEnded',
    value: {
      tokenEpoch: 1,
      tokenCounter,
      job,
      step: 0,
      unit,
      kind,
      message: '',
      next: gaveUp ? { $case: 'failed', value: true } : { $case: 'nothing', value: true },
      counts: false,
      lost: kind === 'lost',
      front: false,
      atMs: 200,
      agentId: 'a1',
      attempt: 1,
    },
  };
}

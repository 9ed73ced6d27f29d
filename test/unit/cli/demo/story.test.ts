import { expect, test } from 'vitest';
import { newStory, tellStory, victimOf, type Story } from '../../../../cli/demo/story.ts';
import { newProgressModel, type WatchEvent } from '../../../../cli/output/progress-model.ts';
import {
  AttemptOutcome,
  type AttemptEvent,
  type WatchJobResponse,
} from '../../../../proto/gen/furrow/v1/job_service.ts';
import { fakeJob, fakeStep } from '../../../support/fake-farm.ts';

const NAMES = new Map([
  ['a-1', 'box-1'],
  ['a-2', 'box-2'],
]);

const message = (event: WatchJobResponse['event']): WatchEvent => ({
  kind: 'message',
  message: { cursor: '', event },
});

function attempt(unit: number, agentId: string, event: Partial<AttemptEvent> = {}): WatchEvent {
  const outcome = AttemptOutcome.ATTEMPT_OUTCOME_GRANTED;
  const base = { unitId: `j1/encode/${unit}`, attempt: 1, agentId, agentName: '', outcome };
  const rest = { failureKind: '', message: '', atMs: 0 };
  return message({ $case: 'attempts', value: { events: [{ ...base, ...rest, ...event }] } });
}

function progress(unit: number, agentId: string, fraction: number): WatchEvent {
  const unitId = `j1/encode/${unit}`;
  const one = { unitId, attempt: 1, agentId, fraction, counter: 1, note: '' };
  return message({ $case: 'progress', value: { units: [one] } });
}

const jobWith = (accepted: number): WatchEvent =>
  message({
    $case: 'job',
    value: fakeJob({
      id: 'j1',
      steps: [fakeStep('encode', { known: true, total: 10, accepted, leased: 3 })],
    }),
  });

const tell = (...events: WatchEvent[]): Story =>
  events.reduce(
    (story, event) => tellStory(story, event, 0),
    newStory(newProgressModel('j1', NAMES)),
  );

const running = [
  attempt(5, 'a-1'),
  attempt(6, 'a-2'),
  attempt(7, 'a-2'),
  progress(5, 'a-1', 0.2),
  progress(6, 'a-2', 0.2),
  progress(7, 'a-2', 0.2),
];

test('nobody is killed before half-way, then the agent with most to lose', () => {
  expect(victimOf(tell(jobWith(3), ...running))).toBeUndefined();
  expect(victimOf(tell(jobWith(4), ...running))).toBe('box-2');
});

test('a unit without progress is no loss; a single one is when time runs out', () => {
  const single = [attempt(6, 'a-2'), progress(6, 'a-2', 0.5), attempt(7, 'a-1')];
  expect(victimOf(tell(jobWith(4), ...single))).toBeUndefined();
  expect(victimOf(tell(jobWith(6), ...single))).toBe('box-2');
  expect(victimOf(tell(jobWith(6), attempt(7, 'a-1')))).toBeUndefined();
});

test('what the killed agent held is lost, and the next attempt takes it over', () => {
  const ENDED = AttemptOutcome.ATTEMPT_OUTCOME_ENDED;
  const kill = { agent: 'box-2', atMs: 100, chunksDone: 4 };
  const killed = { ...tell(jobWith(4), ...running), kill };
  expect(victimOf(killed)).toBeUndefined();
  const after = [
    // Another agent's failure is another story.
    attempt(5, 'a-1', { outcome: ENDED, failureKind: 'failed', atMs: 150 }),
    attempt(6, 'a-2', { outcome: ENDED, failureKind: 'lost', atMs: 200 }),
    attempt(6, 'a-1', { attempt: 2, atMs: 210 }),
    attempt(6, 'a-1', { attempt: 3, atMs: 500 }),
  ].reduce<Story>((story, event) => tellStory(story, event, 0), killed);
  expect(after.losses).toEqual([
    {
      unit: 'encode/6',
      agent: 'box-2',
      lostAtMs: 200,
      again: { agent: 'box-1', attempt: 2, atMs: 210 },
    },
  ]);
});

test('accepted chunks are counted by agent, other units are not', () => {
  const outcome = AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED;
  const story = tell(
    attempt(1, 'a-1', { outcome }),
    attempt(2, 'a-1', { outcome }),
    attempt(0, 'a-2', { outcome, unitId: 'j1/split/0' }),
  );
  expect([...story.chunksBy]).toEqual([['box-1', 2]]);
});

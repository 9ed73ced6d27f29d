import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  applyWatchEvent,
  newProgressModel,
  type ProgressModel,
  type WatchEvent,
} from '../../../../cli/output/progress-model.ts';
import { renderProgress } from '../../../../cli/output/render-progress.ts';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import { textWidth } from '../../../../cli/output/text-width.ts';
import { countsLine } from '../../../../cli/output/watch-view.ts';
import {
  AttemptOutcome,
  JobState,
  type AttemptEvent,
  type Job,
  type WatchJobResponse,
} from '../../../../proto/gen/furrow/v1/job_service.ts';
import { fakeJob, fakeStep } from '../../../support/fake-farm.ts';

const NOW = 1_700_000_072_000;

const message = (event: WatchJobResponse['event']): WatchEvent => ({
  kind: 'message',
  message: { cursor: 'c', event },
});
const jobEvent = (job: Partial<Job>): WatchEvent => message({ $case: 'job', value: fakeJob(job) });
const attempt = (event: Partial<AttemptEvent>): WatchEvent =>
  message({
    $case: 'attempts',
    value: {
      events: [
        {
          unitId: 'j1/encode/7',
          attempt: 1,
          agentId: 'a-1',
          outcome: AttemptOutcome.ATTEMPT_OUTCOME_GRANTED,
          failureKind: '',
          message: '',
          atMs: NOW,
          agentName: 'alice',
          ...event,
        },
      ],
    },
  });
const ended = (failureKind: string, event: Partial<AttemptEvent> = {}): WatchEvent =>
  attempt({ outcome: AttemptOutcome.ATTEMPT_OUTCOME_ENDED, failureKind, ...event });
const progress = (fraction: number, attemptNumber = 1): WatchEvent =>
  message({
    $case: 'progress',
    value: {
      units: [
        {
          unitId: 'j1/encode/7',
          attempt: attemptNumber,
          agentId: 'a-1',
          fraction,
          counter: 1,
          note: '48 fps',
        },
      ],
    },
  });

const ENCODING = fakeJob({
  steps: [
    fakeStep('split', { accepted: 1 }),
    fakeStep('encode', { total: 4, accepted: 1, leased: 1, queued: 2 }),
    fakeStep('concat', { blocked: 1 }),
  ],
});

function fold(events: readonly WatchEvent[]): { model: ProgressModel; notices: string[] } {
  let model = newProgressModel('j1');
  const notices: string[] = [];
  for (const event of events) {
    const step = applyWatchEvent(model, event, NOW);
    model = step.model;
    notices.push(...step.notices.map((notice) => notice.text));
  }
  return { model, notices };
}

const screen = (columns: number, rows = 24) => ({
  columns,
  rows,
  style: PLAIN_STYLE,
  hint: 'Ctrl-C stops watching; the job goes on.',
});

describe('the model', () => {
  test('tells of a lost unit and where it goes', () => {
    const { model, notices } = fold([
      jobEvent(ENCODING),
      attempt({}),
      ended('lost', { message: 'no beat for 15 s' }),
      attempt({ attempt: 2, agentId: 'b-2', agentName: 'bob' }),
    ]);
    expect(notices).toEqual([
      'encode/7 was lost with alice: no beat for 15 s',
      'encode/7 goes to bob (attempt 2)',
    ]);
    expect([...model.running.values()]).toMatchObject([{ attempt: 2, agentId: 'b-2' }]);
  });

  test('says nothing of first grants, acceptances and cancelled attempts', () => {
    const { model, notices } = fold([
      jobEvent(ENCODING),
      attempt({}),
      attempt({ unitId: 'j1/encode/8' }),
      ended('cancelled'),
      attempt({ unitId: 'j1/encode/8', outcome: AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED }),
    ]);
    expect(notices).toEqual([]);
    expect(model.running.size).toBe(0);
  });

  test('the accepted copy ends the other copy of a unit too', () => {
    const { model } = fold([
      jobEvent(ENCODING),
      attempt({}),
      attempt({ attempt: 2, agentId: 'b-2' }),
      attempt({ attempt: 2, outcome: AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED }),
    ]);
    expect(model.running.size).toBe(0);
  });

  test('late progress does not bring an ended attempt back', () => {
    const accepted = attempt({ outcome: AttemptOutcome.ATTEMPT_OUTCOME_ACCEPTED });
    const { model } = fold([jobEvent(ENCODING), attempt({}), accepted, progress(1)]);
    expect(model.running.size).toBe(0);
    expect(fold([jobEvent(ENCODING), progress(0.5)]).model.running.size).toBe(1);
  });

  test('an ended attempt leaves the other copy running', () => {
    const { model } = fold([
      jobEvent(ENCODING),
      attempt({}),
      attempt({ attempt: 2, agentId: 'b-2' }),
      ended('failed'),
    ]);
    expect([...model.running.values()].map((unit) => unit.attempt)).toEqual([2]);
  });

  test('a job whose step runs nothing drops what progress left behind', () => {
    const idle = fakeJob({ steps: [fakeStep('encode', { total: 4, accepted: 4 })] });
    expect(fold([jobEvent(ENCODING), progress(0.9), jobEvent(idle)]).model.running.size).toBe(0);
  });

  test('an end clears what ran', () => {
    const { model } = fold([
      jobEvent(ENCODING),
      attempt({}),
      jobEvent({ ...ENCODING, state: JobState.JOB_STATE_CANCELLED }),
    ]);
    expect(model.running.size).toBe(0);
  });

  test('tells once that the farm is away, and once that it is back', () => {
    const away: WatchEvent = {
      kind: 'unreachable',
      reason: 'no farm answers',
      isFarmsWord: false,
    };
    const { model, notices } = fold([jobEvent(ENCODING), away, away, { kind: 'reachable' }]);
    expect(notices).toEqual(['farm unreachable, trying again…', 'farm answers again']);
    expect(model.unreachableSinceMs).toBeUndefined();
  });

  test('says why, when the farm answers and has no news', () => {
    const reason = 'the journal cannot be written (NATS does not answer): try again in a while';
    const { notices } = fold([
      jobEvent(ENCODING),
      { kind: 'unreachable', reason, isFarmsWord: true },
    ]);
    expect(notices).toEqual([`no news from the farm: ${reason}`]);
  });
});

describe('the picture', () => {
  const { model } = fold([jobEvent(ENCODING), attempt({}), progress(0.5)]);

  test('at 80 columns', () => {
    expect(renderProgress(model, screen(80), NOW)).toEqual([
      'j1  clip.mov                                              running  1m 12s',
      'split   ██████████████████████████████ 1/1',
      'encode  ███████████░░░░░░░░░░░░░░░░░░░ 1/4  1 running',
      'concat  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0/1',
      '  encode/7   50%  48 fps  alice',
      'Ctrl-C stops watching; the job goes on.',
    ]);
  });

  test('at 40 columns the bars keep one length and make room for the words', () => {
    expect(renderProgress(model, screen(40), NOW)).toEqual([
      'j1  clip.mov             running  1m 12s',
      'split   █████████████████ 1/1',
      'encode  ██████░░░░░░░░░░░ 1/4  1 running',
      'concat  ░░░░░░░░░░░░░░░░░ 0/1',
      '  encode/7   50%  48 fps  alice',
    ]);
  });

  test('an unreachable farm shows for how long', () => {
    const away = { ...model, unreachableSinceMs: NOW - 12_300 };
    expect(renderProgress(away, screen(80), NOW).at(-1)).toBe(
      'no news from the farm for 12s, trying again…',
    );
  });

  test('a step that does not know its units has no end', () => {
    const job = fakeJob({ steps: [fakeStep('encode', { known: false, total: 0 })] });
    const [, line] = renderProgress(fold([jobEvent(job)]).model, screen(60), NOW);
    expect(line).toMatch(/^encode {2}░+ \?$/);
  });

  test('never wider than the screen, never higher', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 60 });
    const step = fc.record({
      name: fc.stringMatching(/^[a-z-]{1,30}$/),
      total: fc.nat({ max: 100_000 }),
      accepted: fc.nat({ max: 100_000 }),
      leased: fc.nat({ max: 500 }),
      failed: fc.nat({ max: 3 }),
      lostAttempts: fc.nat({ max: 30 }),
      known: fc.boolean(),
    });
    fc.assert(
      fc.property(
        text,
        text,
        fc.array(step, { maxLength: 30 }),
        fc.nat({ max: 30 }),
        fc.integer({ min: 24, max: 200 }),
        fc.integer({ min: 6, max: 60 }),
        (name, agent, steps, running, columns, rows) => {
          const units = Array.from({ length: running }, (_, i) =>
            attempt({ unitId: `j1/encode/${i}`, agentId: `a-${i}`, agentName: agent }),
          );
          const job = { name, steps: steps.map((counts) => fakeStep(counts.name, counts)) };
          const { model } = fold([jobEvent(job), ...units]);
          const lines = renderProgress(model, screen(columns, rows), NOW);
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(columns);
        },
      ),
    );
  });
});

test('in a pipe, one line of counts', () => {
  expect(countsLine(fold([jobEvent(ENCODING)]).model)).toBe(
    'j1 running: split 1/1, encode 1/4 (1 running)',
  );
  expect(countsLine(fold([jobEvent({})]).model)).toBe('j1 running');
});

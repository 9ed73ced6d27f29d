import fc from 'fast-check';
import { expect, test } from 'vitest';
import { alignVerdicts, packResults } from '../../../agent/result-columns.ts';
import { successesFromWire } from '../../../coordinator/work/result-columns.ts';
import { tokenOf } from '../../../coordinator/domain/token.ts';
import {
  type Result,
  ResultBatch,
  type Successes,
  Verdict,
} from '../../../proto/gen/furrow/work/v1/work.ts';
import { resultOf } from '../../support/work.ts';

const MIB = 2 ** 20;

const anyResult = fc
  .record({
    epoch: fc.integer({ min: 1, max: 3 }),
    counter: fc.integer({ min: 1, max: 2 ** 33 }),
    job: fc.integer({ min: 1, max: 2 }),
    step: fc.constantFrom('a', 'b'),
    unit: fc.integer({ min: 0, max: 2 ** 31 }),
    runMs: fc.integer({ min: -5, max: 100_000 }),
    kind: fc.constantFrom('plain', 'files', 'failed'),
    ramMib: fc.constantFrom(0, 7, 4096),
    vramMib: fc.constantFrom(0, 11, 24_000),
  })
  .map(({ epoch, counter, job, step, unit, runMs, kind, ramMib, vramMib }): Result => {
    const file = { name: 'x', sha256: 'a'.repeat(64), sizeBytes: 1 };
    const outcome: Result['outcome'] =
      kind === 'failed'
        ? { $case: 'failure', value: { kind: 'failed', message: 'no' } }
        : { $case: 'success', value: { outputs: kind === 'files' ? [file] : [] } };
    const startedAtMs = 1_000;
    return {
      token: { epoch, counter },
      jobId: `j${job}`,
      step,
      unit,
      outcome,
      startedAtMs,
      endedAtMs: startedAtMs + runMs,
      peakRamBytes: ramMib * MIB,
      peakVramBytes: vramMib === 0 ? undefined : vramMib * MIB,
    };
  });

const isPlain = ({ outcome }: Result): boolean =>
  outcome?.$case === 'success' && outcome.value.outputs.length === 0;

test('what goes into columns comes out of them, and every verdict finds its result', () => {
  fc.assert(
    fc.property(fc.array(anyResult, { maxLength: 40 }), (batch) => {
      const packed = packResults(batch);
      const { successes, results } = packed;
      const bytes = ResultBatch.encode(
        ResultBatch.fromPartial({ agentId: 'a', session: 's', results, successes }),
      ).finish();
      const read = ResultBatch.decode(bytes);
      const inColumns = read.successes.flatMap(successesFromWire);
      expect(inColumns).toHaveLength(batch.filter(isPlain).length);
      packed.inColumns.forEach((index, at) => {
        const sent = batch[index];
        expect(inColumns[at]).toMatchObject({
          token: tokenOf(sent?.token?.epoch ?? 0, sent?.token?.counter ?? 0),
          job: Number(sent?.jobId.slice(1)),
          step: sent?.step,
          unit: sent?.unit,
          runMs: Math.max(0, (sent?.endedAtMs ?? 0) - (sent?.startedAtMs ?? 0)),
          peak: { ramBytes: sent?.peakRamBytes, vramBytes: sent?.peakVramBytes ?? 0 },
        });
      });
      const reply = alignVerdicts(
        {
          farmId: 'f',
          epoch: 1,
          verdicts: results.map(({ token }) => {
            return { token, verdict: Verdict.VERDICT_NOTED, missing: [] };
          }),
          successVerdicts: inColumns.map(() => Verdict.VERDICT_ACCEPTED),
        },
        batch,
        packed,
      );
      expect(reply.verdicts.map(({ token, verdict }) => [token, verdict])).toEqual(
        batch.map((result) => [
          result.token,
          isPlain(result) ? Verdict.VERDICT_ACCEPTED : Verdict.VERDICT_NOTED,
        ]),
      );
    }),
  );
});

test('an answer that is too short leaves results without a verdict', () => {
  const result = [resultOf(1)];
  const packed = packResults(result);
  const reply = { farmId: 'f', epoch: 1, verdicts: [], successVerdicts: [] };
  expect(alignVerdicts(reply, result, packed).verdicts).toEqual([
    { token: { epoch: 1, counter: 1 }, verdict: Verdict.VERDICT_UNSPECIFIED, missing: [] },
  ]);
});

test('columns of unlike length, and tokens out of range, are refused', () => {
  const column: Successes = {
    jobId: 'j1',
    step: 'a',
    epoch: 1,
    firstCounter: 1,
    counters: [0, 1],
    units: [1],
    runMs: [],
    peakRamMib: [],
    peakVramMib: [],
  };
  expect(() => successesFromWire(column)).toThrow(/differ in length/);
  const whole = { ...column, units: [1, 2], runMs: [0, 0] };
  expect(() => successesFromWire({ ...whole, epoch: 0 })).toThrow(/out of range/);
  expect(() => successesFromWire({ ...whole, counters: [0, 2 ** 34] })).toThrow(/out of range/);
});

/** Results that worked and left no files come in columns; their verdicts go back in one. */
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Successes } from '../../proto/gen/furrow/work/v1/work.ts';
import type { ReportedOutcome, ReportedResult } from '../domain/commands.ts';
import { jobNumberOf } from '../domain/farm.ts';
import type { Growth } from '../domain/size.ts';
import { MAX_COUNTER, MAX_EPOCH, tokenOf } from '../domain/token.ts';

const WITHOUT_FILES: ReportedOutcome = { state: 'succeeded', outputs: [] };
const NOTHING: readonly string[] = [];
const NOT_SEEN: Growth = { ramBytes: 0, vramBytes: 0 };
const MIB = 1024 * 1024;

/** In the order of the columns. FurrowError: invalid BATCH_MALFORMED, TOKEN_INVALID. */
export function successesFromWire(successes: Successes): ReportedResult[] {
  const { jobId, step, epoch, firstCounter, counters, units, runMs, peakRamMib, peakVramMib } =
    successes;
  if (units.length !== counters.length || runMs.length !== counters.length) {
    throw new FurrowError('invalid', 'BATCH_MALFORMED', 'columns of results differ in length');
  }
  const inRange = epoch >= 1 && epoch <= MAX_EPOCH && firstCounter >= 1;
  if (!inRange || counters.some((counter) => firstCounter + counter > MAX_COUNTER)) {
    throw new FurrowError('invalid', 'TOKEN_INVALID', 'a lease token is out of range');
  }
  const job = jobNumberOf(jobId) ?? 0;
  return counters.map((counter, index) => ({
    token: tokenOf(epoch, firstCounter + counter),
    job,
    step,
    unit: units[index] ?? 0,
    outcome: WITHOUT_FILES,
    runMs: runMs[index] ?? 0,
    peak:
      peakRamMib.length + peakVramMib.length === 0
        ? NOT_SEEN
        : peakOf(peakRamMib[index] ?? 0, peakVramMib[index] ?? 0),
    missingBlobs: NOTHING,
  }));
}

function peakOf(ramMib: number, vramMib: number): Growth {
  return { ramBytes: ramMib * MIB, vramBytes: vramMib * MIB };
}

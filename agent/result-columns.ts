/**
 * A batch of results as it goes over the wire: those that worked and left no files go in columns, which
 * is a tenth of the work for both sides. The answer's verdicts are put back in the order of the batch.
 */
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';
import type {
  Result,
  ResultReply,
  ResultVerdict,
  Successes,
} from '../proto/gen/furrow/work/v1/work.ts';

export interface PackedResults {
  readonly successes: readonly Successes[];
  /** All others. */
  readonly results: readonly Result[];
  /** Indexes in the batch: of what is in columns, then of all others, each in the order packed. */
  readonly inColumns: readonly number[];
  readonly others: readonly number[];
}

interface Columns {
  readonly jobId: string;
  readonly step: string;
  readonly epoch: number;
  /** What of the counters does not fit into 32 bits: the rest goes in a column. */
  readonly high: number;
  readonly indexes: number[];
}

const MIB = 1024 * 1024;

export function packResults(batch: readonly Result[]): PackedResults {
  const groups: Columns[] = [];
  const others: number[] = [];
  batch.forEach((result, index) => {
    if (isPlainSuccess(result)) groupOf(groups, result).indexes.push(index);
    else others.push(index);
  });
  return {
    successes: groups.map((group) => columnsOf(group, batch)),
    results: others.map((index) => batch[index] as Result),
    inColumns: groups.flatMap(({ indexes }) => indexes),
    others,
  };
}

/** The reply with a verdict for each result of the batch, in its order. */
export function alignVerdicts(
  reply: ResultReply,
  batch: readonly Result[],
  packed: PackedResults,
): ResultReply {
  const verdicts: ResultVerdict[] = [];
  packed.inColumns.forEach((index, at) => {
    const verdict = reply.successVerdicts[at] ?? 0;
    verdicts[index] = { token: batch[index]?.token, verdict, missing: [] };
  });
  packed.others.forEach((index, at) => {
    const { verdict = 0, missing = [] } = reply.verdicts[at] ?? {};
    verdicts[index] = { token: batch[index]?.token, verdict, missing };
  });
  return { ...reply, verdicts, successVerdicts: [] };
}

export function isPlainSuccess({ outcome, token, model }: Result): boolean {
  if (token === undefined || model !== undefined) return false;
  return outcome?.$case === 'success' && outcome.value.outputs.length === 0;
}

/** Results of one step mostly follow one another. */
function groupOf(groups: Columns[], { jobId, step, token }: Result): Columns {
  const { epoch, counter } = token as Token;
  const high = Math.floor(counter / 2 ** 32);
  const isOf = (group: Columns): boolean =>
    group.jobId === jobId && group.step === step && group.epoch === epoch && group.high === high;
  const last = groups.at(-1);
  const known = last !== undefined && isOf(last) ? last : groups.find(isOf);
  if (known !== undefined) return known;
  const group: Columns = { jobId, step, epoch, high, indexes: [] };
  groups.push(group);
  return group;
}

function columnsOf({ jobId, step, epoch, indexes }: Columns, batch: readonly Result[]): Successes {
  const results = indexes.map((index) => batch[index] as Result);
  const counterOf = ({ token }: Result): number => (token as Token).counter;
  const firstCounter = results.reduce(
    (least, result) => Math.min(least, counterOf(result)),
    Infinity,
  );
  const vramOf = ({ peakVramBytes = 0 }: Result): number => peakVramBytes;
  const hasVramPeaks = results.some((result) => vramOf(result) > 0);
  const hasPeaks = results.some(({ peakRamBytes }) => peakRamBytes > 0);
  return {
    jobId,
    step,
    epoch,
    firstCounter,
    counters: results.map((result) => counterOf(result) - firstCounter),
    units: results.map(({ unit }) => unit),
    runMs: results.map(({ startedAtMs, endedAtMs }) => Math.max(0, endedAtMs - startedAtMs)),
    peakRamMib: hasPeaks ? results.map(({ peakRamBytes }) => Math.ceil(peakRamBytes / MIB)) : [],
    peakVramMib: hasVramPeaks ? results.map((result) => Math.ceil(vramOf(result) / MIB)) : [],
  };
}

/**
 * Why a unit does not fit, in words with figures: what it needs, what there is, and who has the rest. Only
 * the words: what fits is said by demand.ts.
 */
const GIB = 2 ** 30;
const MIB = 2 ** 20;

/** One thing that an agent has, and where it goes. All in the same unit of measure. */
export interface Holding {
  readonly total: number;
  /** Booked by units. */
  readonly booked: number;
  /** Used by what is not ours. */
  readonly others?: number;
  /** Offered to nobody. */
  readonly kept?: number;
}

/** Bytes of one GPU's memory. */
export interface GpuHolding extends Holding {
  readonly name: string;
}

export function atLimit(units: number): string {
  return `holds ${counted(units, 'unit')}, the most it takes`;
}

export function lacksAttributes(lacking: readonly string[]): string {
  return `lacks ${lacking.join(', ')}`;
}

export function shortOfCpus(needMillis: number, holding: Holding): string {
  const show = (millis: number): string => String(millis / 1000);
  return `needs ${counted(needMillis / 1000, 'CPU')}; has ${left(holding, { free: show, used: show }, '')}`;
}

export function shortOfSessions(need: number, holding: Holding): string {
  const show = { free: String, used: String };
  return `needs ${counted(need, 'encoder session')}; has ${left(holding, show, '')}`;
}

/** `what` is RAM, or scratch disk. */
export function shortOfBytes(what: string, needBytes: number, holding: Holding): string {
  return bytesLeft(needBytes, what, 'has', holding);
}

/** `enough`: GPUs that have the memory. */
export function shortOfGpus(
  { gpus, vramBytes }: { readonly gpus: number; readonly vramBytes: number },
  holdings: readonly GpuHolding[],
  enough: number,
): string {
  const [nearest] = holdings
    .filter((gpu) => freeOf(gpu) < vramBytes)
    .toSorted((a, b) => freeOf(b) - freeOf(a));
  if (nearest === undefined || holdings.length < gpus) {
    return `needs ${counted(gpus, 'GPU')}; has ${holdings.length === 0 ? 'none' : holdings.length}`;
  }
  if (gpus === 1) return bytesLeft(vramBytes, 'VRAM on one GPU', `${nearest.name} has`, nearest);
  const what = `VRAM on each of ${gpus} GPUs`;
  return bytesLeft(vramBytes, what, `has that on ${enough}, ${nearest.name} has`, nearest);
}

/** They have the memory, but units run there that want a GPU alone, or the other way round. */
export function takenGpus(
  { gpus, wholeGpus }: { readonly gpus: number; readonly wholeGpus?: boolean | undefined },
  taken: number,
  all: number,
): string {
  const needed =
    wholeGpus === true ? `${counted(gpus, 'GPU')} that nothing runs on` : counted(gpus, 'GPU');
  const by = wholeGpus === true ? 'have units' : 'are taken whole by units';
  return `needs ${needed}; ${taken} of ${all} ${by}`;
}

/** `needs 9.1 GiB VRAM on one GPU; RTX 3060 has 7.5 of 12.0 GiB left (…)`. */
function bytesLeft(needBytes: number, what: string, has: string, holding: Holding): string {
  const isLarge = Math.max(needBytes, holding.total) >= GIB;
  const [bytes, digits, name] = isLarge ? ([GIB, 1, 'GiB'] as const) : ([MIB, 0, 'MiB'] as const);
  const step = 10 ** digits;
  // What is needed must not look smaller than it is, nor what is left larger.
  const show = (round: (value: number) => number) => (amount: number) =>
    (round((amount / bytes) * step) / step).toFixed(digits);
  const figures = { free: show(Math.floor), used: show(Math.round) };
  return `needs ${show(Math.ceil)(needBytes)} ${name} ${what}; ${has} ${left(holding, figures, ` ${name}`)}`;
}

function freeOf({ total, booked, others = 0, kept = 0 }: Holding): number {
  return Math.max(0, total - booked - others - kept);
}

/** `2 of 4 left (2 booked by units)`. */
function left(
  holding: Holding,
  show: { readonly free: (amount: number) => string; readonly used: (amount: number) => string },
  unit: string,
): string {
  const { total, booked, others = 0, kept = 0 } = holding;
  const uses = [
    [others, 'used by others'],
    [booked, 'booked by units'],
    [kept, 'kept free'],
  ] as const;
  const taken = uses.flatMap(([amount, by]) => (amount > 0 ? [`${show.used(amount)} ${by}`] : []));
  if (taken.length === 0) return `${show.free(total)}${unit}`;
  return `${show.free(freeOf(holding))} of ${show.free(total)}${unit} left (${taken.join(', ')})`;
}

function counted(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}

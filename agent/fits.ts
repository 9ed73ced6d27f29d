/** Whether a unit fits this machine as it is now, beside the units that run on it. Pure. */
import type { Capacity, Isolation } from '../proto/gen/furrow/v1/agent_service.ts';
import type { Demand } from '../proto/gen/furrow/v1/step.ts';

/** Where the owner sets no limit: more at once would only stand in one another's way. */
const MOST_UNITS = 256;
const MIB = 1024 * 1024;
const NOTHING_ALLOWED: Pick<Isolation, 'allowedCommands' | 'allowsNetwork'> = {
  allowedCommands: [],
  allowsNetwork: false,
};

/** Null when it fits, else one line with the figures. */
export function whyNotFitting(
  demand: Demand,
  beside: readonly Demand[],
  gpuIds: readonly string[],
  capacity: Capacity,
): string | null {
  const most = capacity.maxUnits || MOST_UNITS;
  if (beside.length >= most) return `it runs ${beside.length} units, its limit`;
  const why = demand.attributes.map((attribute) => whyNotHere(attribute, capacity)).find(isReason);
  if (why !== undefined) return why;
  const sum = (figure: (demand: Demand) => number): number =>
    beside.reduce((total, other) => total + figure(other), figure(demand));
  return (
    short(
      'CPU',
      'thousandths',
      sum((of) => of.cpuMillis),
      capacity.cpuMillis,
    ) ??
    short('RAM', 'MiB', sum((of) => of.ramBytes) / MIB, capacity.ramAvailableBytes / MIB) ??
    // What others have written is gone from the free disk already.
    short('disk', 'MiB', demand.scratchBytes / MIB, capacity.scratchFreeBytes / MIB) ??
    short(
      'encoder sessions',
      '',
      sum((of) => of.encoderSessions),
      capacity.encoderSessions,
    ) ??
    whyNotOnGpus(demand, gpuIds, capacity)
  );
}

/** Which programs it starts and whether they have the network is its owner's word, not a capability. */
function whyNotHere(attribute: string, { attributes, isolation }: Capacity): string | null {
  const { allowedCommands, allowsNetwork } = isolation ?? NOTHING_ALLOWED;
  if (attribute === 'network') return allowsNetwork ? null : 'its owner allows no network';
  if (attribute.startsWith('command:')) {
    const program = attribute.slice('command:'.length);
    const isAllowed = allowedCommands.includes('*') || allowedCommands.includes(program);
    return isAllowed ? null : `its owner does not allow ${program}`;
  }
  return attributes.includes(attribute) ? null : `it has no ${attribute}`;
}

function isReason(why: string | null): why is string {
  return why !== null;
}

function whyNotOnGpus(
  demand: Demand,
  gpuIds: readonly string[],
  capacity: Capacity,
): string | null {
  if (gpuIds.length < demand.gpus) return `${demand.gpus} GPUs are needed, ${gpuIds.length} given`;
  for (const id of gpuIds) {
    const gpu = capacity.gpus.find((candidate) => candidate.id === id);
    if (gpu === undefined) return `it has no GPU ${id}`;
    if (gpu.unusableReason !== '') return `${gpu.name} cannot be used: ${gpu.unusableReason}`;
    const forUnits = gpu.vramTotalBytes - gpu.vramForeignBytes;
    const why = short(`VRAM on ${gpu.name}`, 'MiB', demand.vramBytes / MIB, forUnits / MIB);
    if (why !== null) return why;
  }
  return null;
}

function short(what: string, measure: string, need: number, have: number): string | null {
  if (need <= have) return null;
  const figures = [need, have].map((value) => `${Math.round(value)} ${measure}`.trim());
  return `${what}: ${figures[0]} needed, ${figures[1]} there`;
}

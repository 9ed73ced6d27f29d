/** What no agent could ever run, and the most that one of them could. */
import {
  type Capacity,
  emptyBooking,
  fits,
  gib,
  lacking,
  usableRamBytes,
  usableVramBytes,
  NO_DEMAND,
  whenEmpty,
} from './demand.ts';
import type { AgentLiveness } from './liveness.ts';
import { remedyFor, withProgram } from './programs.ts';
import type { Demand, StepSpec } from './task.ts';

interface Box {
  readonly name: string;
  readonly capacity: Capacity;
}

/**
 * A step that no known agent could run even if it were empty, in one line that names the most that
 * would fit. Undefined while no agent is known: it may still come.
 */
export function faultOfDemand(
  steps: readonly StepSpec[],
  agents: ReadonlyMap<string, AgentLiveness>,
  nameOf: (agentId: string) => string,
): string | undefined {
  for (const { name, demand = NO_DEMAND, task } of steps) {
    const why = misfitOf(agents, withProgram(demand, task), nameOf);
    if (why !== undefined) return `step ${name} ${why}`;
  }
  return undefined;
}

/** Why no known agent could ever give so much, or undefined. */
export function misfitOf(
  agents: ReadonlyMap<string, AgentLiveness>,
  demand: Demand,
  nameOf: (agentId: string) => string,
): string | undefined {
  if (couldFitOneOf(agents, demand)) return undefined;
  const boxes = [...agents.values()].flatMap(({ agentId, capacity }) =>
    capacity === undefined ? [] : [{ name: nameOf(agentId), capacity: whenEmpty(capacity) }],
  );
  return boxes.length === 0 ? undefined : misfit(demand, boxes);
}

/** Whether some agent could run a unit if it were empty. Not asked of more agents than it takes. */
export function couldFitOneOf(agents: ReadonlyMap<string, AgentLiveness>, demand: Demand): boolean {
  for (const { capacity } of agents.values()) if (couldEverFit(demand, capacity)) return true;
  return false;
}

/** Such as `8 CPUs, 32.0 GiB RAM, encoder:libx265`. */
export function demandWords(demand: Demand): string {
  const amounts = amountsOf(demand).map(({ wanted, words }) => words(wanted));
  return [...amounts, ...demand.attributes].join(', ') || 'room for one more unit';
}

function couldEverFit(demand: Demand, capacity: Capacity | undefined): boolean {
  if (capacity === undefined) return false;
  return fits(demand, whenEmpty(capacity), emptyBooking()).state === 'fits';
}

function misfit(demand: Demand, boxes: readonly Box[]): string {
  const able = boxes.filter(({ capacity }) => lacking(demand, capacity).length === 0);
  if (able.length === 0) return missingAttributes(demand, boxes);
  const amounts = amountsOf(demand);
  const most = able
    .map((box) => ({ box, share: shareOf(amounts, box.capacity) }))
    .reduce((best, next) => (next.share > best.share ? next : best)).box;
  const asked = amounts.map(({ wanted, words }) => words(wanted)).join(', ');
  const offered = amounts.map((amount) => amount.words(cut(amount, most.capacity))).join(', ');
  return `needs ${asked}; the most that fits is ${offered}, on ${most.name}: ask for less, or add a larger agent`;
}

function missingAttributes(demand: Demand, boxes: readonly Box[]): string {
  const [first = demand.attributes] = boxes
    .map(({ capacity }) => lacking(demand, capacity))
    .toSorted((a, b) => a.length - b.length);
  const nearest = first.slice(0, 3).join(', ');
  const nowhere = first.filter((attribute) =>
    boxes.every(({ capacity }) => lacking(demand, capacity).includes(attribute)),
  );
  const remedy = remedyFor(nowhere);
  if (remedy !== undefined) return remedy;
  return nowhere.includes(first[0] ?? '')
    ? `needs ${nearest}, which no agent has: install it on one, and start that agent again`
    : `needs ${demand.attributes.join(', ')}, which no agent has together: the nearest lacks ${nearest}`;
}

/** One thing that is asked for. */
interface Amount {
  readonly wanted: number;
  readonly offered: (capacity: Capacity) => number;
  readonly words: (amount: number) => string;
}

function amountsOf(demand: Demand): Amount[] {
  const { gpus, vramBytes } = demand;
  const amounts: Amount[] = [
    {
      wanted: demand.cpuMillis,
      offered: ({ cpuMillis }) => cpuMillis,
      words: (amount) => counted(amount / 1000, 'CPU'),
    },
    {
      wanted: demand.ramBytes,
      offered: usableRamBytes,
      words: (amount) => `${gib(amount)} RAM`,
    },
    {
      wanted: gpus,
      offered: (capacity) => capacity.gpus.length,
      words: (amount) => counted(amount, 'GPU'),
    },
    {
      wanted: gpus === 0 ? 0 : vramBytes,
      offered: (capacity) => vramOnEach(capacity, gpus),
      words: (amount) => `${gib(amount)} VRAM on each`,
    },
    {
      wanted: demand.scratchBytes,
      offered: ({ scratchFreeBytes }) => scratchFreeBytes,
      words: (amount) => `${gib(amount)} scratch disk`,
    },
    {
      wanted: demand.encoderSessions,
      offered: ({ encoderSessions }) => encoderSessions,
      words: (amount) => counted(amount, 'encoder session'),
    },
  ];
  return amounts.filter(({ wanted }) => wanted > 0);
}

/** What each of so many GPUs could give, or each of those there are. */
function vramOnEach(capacity: Capacity, gpus: number): number {
  const free = capacity.gpus.map(usableVramBytes).toSorted((a, b) => b - a);
  return free[Math.min(gpus, free.length) - 1] ?? 0;
}

function cut({ wanted, offered }: Amount, capacity: Capacity): number {
  return Math.max(0, Math.min(wanted, offered(capacity)));
}

/** How much of a demand an agent could give, of 1 for each thing asked for. */
function shareOf(amounts: readonly Amount[], capacity: Capacity): number {
  return amounts.reduce((sum, amount) => sum + cut(amount, capacity) / amount.wanted, 0);
}

function counted(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? '' : 's'}`;
}

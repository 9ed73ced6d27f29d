/** What agents' machines really hold, by whatever the agents were seen to do: nothing twice, nothing too much. */
import type { Capacity } from '../../coordinator/domain/demand.ts';
import type { Demand } from '../../coordinator/domain/task.ts';
import type { Token } from '../../coordinator/domain/token.ts';
import { Violation } from './violation.ts';

/** One lease on a machine. */
export interface Held {
  readonly state: 'waiting' | 'running';
  readonly demand: Demand;
  readonly gpuIds: readonly string[];
  /** The same for leases that take turns. */
  readonly slotKey: string;
}

export class Custody {
  /** By agent. */
  readonly #held = new Map<string, Map<Token, Held>>();
  readonly #started = new Set<Token>();
  /** How many leases that take turns may run at once, by agent and slot. */
  readonly #slots = new Map<string, number>();

  holds(agentId: string, token: Token): boolean {
    return this.#held.get(agentId)?.has(token) === true;
  }

  /** An agent's machine holds this lease from now on, waiting or running. */
  onHeld(agentId: string, token: Token, held: Held, capacity: Capacity): void {
    const all = this.#held.get(agentId) ?? new Map<Token, Held>();
    this.#held.set(agentId, all);
    all.set(token, held);
    if (held.state === 'running') {
      if (this.#started.has(token)) throw new Violation('run-twice', `token ${token} ran twice`);
      this.#started.add(token);
    }
    const running = [...all.values()].filter((other) => other.state === 'running');
    const excess = excessOf(running, capacity);
    if (excess !== undefined) throw new Violation('overbooked', `${agentId} runs ${excess}`);
    const committed = excessOf(this.#booked(agentId, [...all.values()]), capacity);
    if (committed !== undefined) {
      throw new Violation('overbooked', `${agentId} was given ${committed}`);
    }
    const slots = Math.max(1, this.#slots.get(`${agentId} ${held.slotKey}`) ?? 0);
    const inSlot = running.filter(({ slotKey }) => slotKey === held.slotKey).length;
    if (held.state === 'running' && inSlot > slots) {
      throw new Violation('overbooked', `${agentId} runs ${inSlot} leases in ${slots} slots`);
    }
  }

  /** A grant says how many leases that take turns may run at once from then on. */
  onSlots(agentId: string, slotKey: string, slots: number): void {
    this.#slots.set(`${agentId} ${slotKey}`, slots);
  }

  /** What waits behind others books nothing. */
  #booked(agentId: string, held: readonly Held[]): Held[] {
    const counts = new Map<string, number>();
    const runs = ({ state }: Held): number => (state === 'running' ? 0 : 1);
    return held
      .toSorted((a, b) => runs(a) - runs(b))
      .filter(({ slotKey, state }) => {
        const count = (counts.get(slotKey) ?? 0) + 1;
        counts.set(slotKey, count);
        return state === 'running' || count <= (this.#slots.get(`${agentId} ${slotKey}`) ?? 1);
      });
  }

  /** The agent was asked for it back: what waits is gone. */
  onRetracted(agentId: string, token: Token): void {
    const all = this.#held.get(agentId);
    if (all?.get(token)?.state === 'waiting') all.delete(token);
  }

  /** The program ended, however: what waited is gone, what ran runs on. */
  onProgramEnded(agentId: string): void {
    const all = this.#held.get(agentId);
    for (const [token, held] of all ?? []) if (held.state === 'waiting') all?.delete(token);
  }

  onReleased(agentId: string, token: Token): void {
    this.#held.get(agentId)?.delete(token);
  }
}

/** What is more than the machine has, in words, or undefined. */
function excessOf(held: readonly Held[], capacity: Capacity): string | undefined {
  const sum = (of: (entry: Held) => number): number =>
    held.reduce((total, entry) => total + of(entry), 0);
  const cpuMillis = sum((entry) => entry.demand.cpuMillis);
  if (cpuMillis > capacity.cpuMillis) return `${cpuMillis} of ${capacity.cpuMillis} CPU millis`;
  const ramBytes = sum((entry) => entry.demand.ramBytes);
  if (ramBytes > capacity.ramTotalBytes) return `${ramBytes} of ${capacity.ramTotalBytes} RAM`;
  if (capacity.maxUnits > 0 && held.length > capacity.maxUnits) {
    return `${held.length} of ${capacity.maxUnits} units`;
  }
  for (const gpu of capacity.gpus) {
    const vramBytes = sum((entry) => (entry.gpuIds.includes(gpu.id) ? entry.demand.vramBytes : 0));
    if (vramBytes > gpu.vramTotalBytes) return `${vramBytes} of ${gpu.vramTotalBytes} on ${gpu.id}`;
  }
  return undefined;
}

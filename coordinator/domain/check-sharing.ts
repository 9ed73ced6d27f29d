/** Whether what is said of owners and tickets follows from the leases. */
import type { Farm, Slot } from './farm.ts';
import { ticketsOf } from './demand.ts';
import { isSetOwner, pricesOf } from './sharing.ts';

/** What does not hold, in words. */
export function faultsOfSharing(farm: Farm): string[] {
  return [...faultsOfOwners(farm), ...faultsOfTickets(farm)];
}

function faultsOfOwners(farm: Farm): string[] {
  const held = new Map<Slot, Map<string, number>>();
  const leases = new Map<string, number>();
  for (const { job, slot } of farm.leases.values()) {
    const owner = farm.jobs.get(job)?.owner ?? '';
    const ofSlot = held.get(slot) ?? new Map<string, number>();
    held.set(slot, ofSlot);
    add(ofSlot, owner, 1);
    add(leases, owner, 1);
  }
  const prices = new Map<string, number>();
  const faults: string[] = [];
  for (const [slot, byOwner] of held) {
    if (textOf(byOwner) !== textOf(slot.heldBy)) {
      faults.push(`slot ${slot.key} is held by ${textOf(byOwner)}, not ${textOf(slot.heldBy)}`);
    }
    for (const [owner, price] of pricesOf(slot)) add(prices, owner, price);
  }
  for (const owner of farm.owners.values()) {
    const { name, leases: said, priceMillis } = owner;
    const [found, price] = [leases.get(name) ?? 0, prices.get(name) ?? 0];
    leases.delete(name);
    if (said !== found || priceMillis !== price) {
      faults.push(`owner ${name} has ${found} leases at ${price}, not ${said} at ${priceMillis}`);
    }
    if (found === 0 && !isSetOwner(owner)) faults.push(`owner ${name} is kept for nothing`);
  }
  for (const [name, count] of leases)
    faults.push(`owner ${name} with ${count} leases is not known`);
  return faults;
}

function faultsOfTickets(farm: Farm): string[] {
  const used = new Map<string, number>();
  for (const agent of farm.agents.values()) {
    for (const { demand, booked } of agent.slots.values()) {
      for (const [name, count] of ticketsOf(demand)) add(used, name, count * booked);
    }
  }
  const faults: string[] = [];
  for (const ticket of farm.tickets.values()) {
    const found = used.get(ticket.name) ?? 0;
    used.delete(ticket.name);
    if (found !== ticket.used) {
      faults.push(`ticket ${ticket.name} is used ${found} times, not ${ticket.used}`);
    }
    if (ticket.used > ticket.limit + ticket.excused) {
      faults.push(`ticket ${ticket.name} is overbooked: ${ticket.used} of ${ticket.limit}`);
    }
  }
  for (const [name, count] of used)
    faults.push(`ticket ${name}, used ${count} times, is not known`);
  return faults;
}

function add(counts: Map<string, number>, key: string, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function textOf(counts: ReadonlyMap<string, number>): string {
  return JSON.stringify([...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

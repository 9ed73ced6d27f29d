/**
 * What leases take besides machines: their owners' shares and named tickets. Follows from the leases, but for
 * what people set: how many of a ticket there are, an owner's weight and the most it may hold.
 */
import { ticketsOf } from './demand.ts';
import { priceOf } from './fair-share.ts';
import type { Farm, Slot } from './farm.ts';
import type { Demand } from './task.ts';

/** Somebody on whose account jobs run. In the farm while a share was set or something is leased. */
export interface Owner {
  readonly name: string;
  weight: number;
  /** 0 for no limit. */
  maxUnits: number;
  /** Leases, waiting ones too. */
  leases: number;
  /** What those that may run cost, in thousandths of a core. */
  priceMillis: number;
}

/** A named counter, such as licences of a program. */
export interface Ticket {
  readonly name: string;
  /** How many there are. */
  limit: number;
  used: number;
  /**
   * So many are used above the limit by right: it was lowered, or an agent came back with work that had been
   * given up. No grant adds to them.
   */
  excused: number;
}

const DEFAULT_WEIGHT = 1;

/** The owner as it is, or as it would be. */
export function ownerOf(farm: Farm, name: string): Readonly<Owner> {
  return farm.owners.get(name) ?? newOwner(name);
}

function newOwner(name: string): Owner {
  return { name, weight: DEFAULT_WEIGHT, maxUnits: 0, leases: 0, priceMillis: 0 };
}

export function isSetOwner({ weight, maxUnits }: Owner): boolean {
  return weight !== DEFAULT_WEIGHT || maxUnits !== 0;
}

function changeOwner(farm: Farm, name: string, change: (owner: Owner) => void): void {
  const owner = farm.owners.get(name) ?? newOwner(name);
  change(owner);
  if (owner.leases > 0 || isSetOwner(owner)) farm.owners.set(name, owner);
  else farm.owners.delete(name);
}

export function setOwner(farm: Farm, name: string, weight: number, maxUnits: number): void {
  changeOwner(farm, name, (owner) => {
    owner.weight = weight;
    owner.maxUnits = maxUnits;
  });
}

/**
 * A lease of the owner's is put into the slot or taken out of it: `change` does so. Who waits in a slot and who
 * runs is not told apart: its owners pay for what is booked in proportion to their leases.
 */
export function chargeLease(
  farm: Farm,
  slot: Slot,
  owner: string,
  by: 1 | -1,
  change: () => void,
): void {
  chargeSlot(farm, slot, -1);
  change();
  const leases = (slot.heldBy.get(owner) ?? 0) + by;
  if (leases === 0) slot.heldBy.delete(owner);
  else slot.heldBy.set(owner, leases);
  changeOwner(farm, owner, (known) => {
    known.leases += by;
  });
  chargeSlot(farm, slot, 1);
}

function chargeSlot(farm: Farm, slot: Slot, sign: 1 | -1): void {
  for (const [name, priceMillis] of pricesOf(slot)) {
    const owner = farm.owners.get(name);
    if (owner !== undefined) owner.priceMillis += sign * priceMillis;
  }
}

/** What each owner pays for a slot. */
export function* pricesOf(slot: Slot): Generator<[owner: string, priceMillis: number]> {
  const priceMillis = priceOf(slot.demand) * slot.booked;
  for (const [owner, leases] of slot.heldBy) {
    yield [owner, Math.floor((priceMillis * leases) / slot.held)];
  }
}

/** How many there are of a ticket; with 0 it is forgotten once nobody holds it. */
export function setTickets(farm: Farm, name: string, limit: number): void {
  changeTicket(farm, name, (ticket) => {
    ticket.limit = limit;
    ticket.excused = Math.max(0, ticket.used - limit);
  });
}

/** `isExcused`: the unit runs already, whether or not there are tickets for it. */
export function bookTickets(farm: Farm, demand: Demand, isExcused: boolean): void {
  for (const [name, count] of ticketsOf(demand)) {
    changeTicket(farm, name, (ticket) => {
      ticket.used += count;
      if (isExcused) ticket.excused = Math.max(ticket.excused, ticket.used - ticket.limit);
    });
  }
}

export function unbookTickets(farm: Farm, demand: Demand): void {
  for (const [name, count] of ticketsOf(demand)) {
    changeTicket(farm, name, (ticket) => {
      ticket.used -= count;
      ticket.excused = Math.min(ticket.excused, Math.max(0, ticket.used - ticket.limit));
    });
  }
}

function changeTicket(farm: Farm, name: string, change: (ticket: Ticket) => void): void {
  const ticket = farm.tickets.get(name) ?? { name, limit: 0, used: 0, excused: 0 };
  change(ticket);
  if (ticket.used > 0 || ticket.limit > 0) farm.tickets.set(name, ticket);
  else farm.tickets.delete(name);
}

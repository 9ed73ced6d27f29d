/** What people set of tickets and owners' shares, and what a job may ask of them. */
import type { SetOwner, SetTickets } from './commands.ts';
import { decided, type Decision, type Now, refused, unchanged } from './decision.ts';
import { ticketsOf } from './demand.ts';
import type { Farm } from './farm.ts';
import { isOwnerName, isTicketName } from './names.ts';
import { ownerOf } from './sharing.ts';
import type { StepSpec } from './task.ts';

const MOST_TICKETS = 1_000_000;
const MOST_WEIGHT = 1_000;
export const MOST_UNITS = 10_000_000;

export function decideTickets(farm: Farm, { name, limit }: SetTickets, now: Now): Decision {
  if (!isTicketName(name)) {
    return invalid(`ticket name ${quote(name)}: use 1–64 letters, digits, ., _ and -`);
  }
  if (!isWhole(limit, 0, MOST_TICKETS)) {
    return invalid(`${limit} is not a number of tickets from 0 to ${MOST_TICKETS}`);
  }
  if ((farm.tickets.get(name)?.limit ?? 0) === limit) return unchanged();
  return decided([{ type: 'TicketsSet', name, limit, atMs: now.wallMs }]);
}

export function decideOwner(farm: Farm, command: SetOwner, now: Now): Decision {
  const { name } = command;
  if (!isOwnerName(name)) return invalid(faultOfOwnerName(name));
  const known = ownerOf(farm, name);
  const { weight = known.weight, maxUnits = known.maxUnits } = command;
  if (!isWhole(weight, 1, MOST_WEIGHT)) {
    return invalid(`weight ${weight} is not a whole number from 1 to ${MOST_WEIGHT}`);
  }
  if (!isWhole(maxUnits, 0, MOST_UNITS)) {
    return invalid(`${maxUnits} is not a number of units from 0 to ${MOST_UNITS}`);
  }
  if (known.weight === weight && known.maxUnits === maxUnits) return unchanged();
  return decided([{ type: 'OwnerSet', name, weight, maxUnits, atMs: now.wallMs }]);
}

export function faultOfOwnerName(name: string): string {
  return `owner ${quote(name)}: use 1–64 letters, digits, ., _, - and @`;
}

/** A step that demands tickets that the farm does not have, in one line with the remedy. */
export function faultOfTickets(farm: Farm, steps: readonly StepSpec[]): string | undefined {
  for (const { name: step, demand } of steps) {
    if (demand === undefined) continue;
    for (const [name, count] of ticketsOf(demand)) {
      const limit = farm.tickets.get(name)?.limit ?? 0;
      if (limit >= count) continue;
      const has = limit === 0 ? 'none' : `${limit}`;
      return `step ${step} needs ${count} of ticket ${quote(name)}, of which this farm has ${has}: say how many there are with furrow tickets set NAME N`;
    }
  }
  return undefined;
}

function invalid(message: string): Decision {
  return refused('invalid', 'SHARE_INVALID', message);
}

function isWhole(value: number, from: number, to: number): boolean {
  return Number.isInteger(value) && value >= from && value <= to;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

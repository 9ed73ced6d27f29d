/** Tickets and owners' shares as lines. */
import type { Owner, Ticket } from '../../proto/gen/furrow/v1/farm_service.ts';
import { formatBytes, formatCores } from './format.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

export function ticketLines(
  tickets: readonly Ticket[],
  style: Style,
  columns: number | undefined,
): string[] {
  if (tickets.length === 0) return ['no tickets: furrow tickets set NAME N makes some'];
  return renderTable(
    tickets,
    [
      { title: 'TICKET', cell: (ticket) => ticket.name, flexible: true },
      { title: 'IN USE', cell: (ticket) => `${ticket.used}/${ticket.limit}`, align: 'right' },
    ],
    style,
    columns,
  );
}

export function ownerLines(
  owners: readonly Owner[],
  style: Style,
  columns: number | undefined,
): string[] {
  if (owners.length === 0) return ['no owner has jobs, or a share that was set'];
  return renderTable(
    owners,
    [
      { title: 'OWNER', cell: (owner) => owner.name || '-', flexible: true },
      { title: 'WEIGHT', cell: (owner) => String(owner.weight), align: 'right' },
      { title: 'UNITS', cell: unitsOf, align: 'right' },
      { title: 'HOLDS', cell: (owner) => formatCores(owner.priceMillis), align: 'right' },
      ...(owners.some(({ maxQueued }) => maxQueued > 0)
        ? [{ title: 'WAITING', cell: waitingOf, align: 'right' as const }]
        : []),
      ...(owners.some(({ maxStoredBytes }) => maxStoredBytes > 0)
        ? [{ title: 'STORED', cell: storedOf, align: 'right' as const }]
        : []),
      { title: 'HELD', cell: (owner) => formatCores(owner.averagePriceMillis), align: 'right' },
    ],
    style,
    columns,
  );
}

const waitingOf = ({ queued, maxQueued }: Owner): string =>
  maxQueued === 0 ? '-' : `${queued}/${maxQueued}`;

const storedOf = ({ storedBytes, maxStoredBytes }: Owner): string =>
  maxStoredBytes === 0 ? '-' : `${formatBytes(storedBytes)}/${formatBytes(maxStoredBytes)}`;

const unitsOf = ({ leases, maxUnits }: Owner): string =>
  maxUnits === 0 ? String(leases) : `${leases}/${maxUnits}`;

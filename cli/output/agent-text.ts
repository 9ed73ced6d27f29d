/** One agent in full: what it has, what of it is used, and what it can and cannot run. */
import type { Gpu, Isolation } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { Agent } from '../../proto/gen/furrow/v1/farm_service.ts';
import { formatAge, formatBytes, formatCores, formatCount } from './format.ts';
import { agentStateName } from './names.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';
import { printable } from './text-width.ts';

export function agentDetails(agent: Agent, style: Style, columns: number | undefined): string[] {
  const { capacity } = agent;
  const row = (title: string, text: string): string => `${style.dim(title.padEnd(8))} ${text}`;
  const state = `${agentStateName(agent.state)}, last heard of ${formatAge(agent.lastBeatAgeMs)}`;
  const lines = [
    row('agent', `${printable(agent.name)} (${agent.id}), version ${printable(agent.version)}`),
    row('state', `${state}, ${formatCount(agent.leases, 'unit')}`),
  ];
  if (capacity === undefined) return lines;
  const booked = `${formatCores(agent.bookedCpuMillis)} of ${formatCores(capacity.cpuMillis)} booked`;
  const load =
    capacity.loadMillis === undefined ? '' : `, load ${formatCores(capacity.loadMillis)}`;
  const ram = `${formatBytes(agent.bookedRamBytes)} of ${formatBytes(capacity.ramTotalBytes)} booked`;
  const disk = `${formatBytes(capacity.scratchFreeBytes)} free of ${formatBytes(capacity.scratchTotalBytes)}`;
  lines.push(
    row('cores', `${booked}${load}`),
    row('memory', `${ram}, ${formatBytes(capacity.ramAvailableBytes)} free or used by units`),
    row('scratch', disk),
    row('encoders', `${formatCount(capacity.encoderSessions, 'hardware session')} for units`),
    row('can', printable(capacity.attributes.join(', ')) || '-'),
    row('versions', versionWords(capacity.toolchain)),
    row('commands', printable(isolationWords(capacity.isolation))),
    ...capacity.faults.map(({ attribute, reason }) =>
      row('cannot', style.yellow(printable(`${attribute}: ${reason}`))),
    ),
  );
  const gpus = [...capacity.gpus, ...capacity.otherGpus];
  return gpus.length === 0 ? lines : [...lines, '', ...gpuLines(gpus, style, columns)];
}

/** A line for each GPU that units could have and may not use. */
export function illGpuLines(agents: readonly Agent[], style: Style): string[] {
  return agents.flatMap((agent) =>
    (agent.capacity?.gpus ?? [])
      .filter(({ unusableReason }) => unusableReason !== '')
      .map(({ name, unusableReason }) => {
        const who = agent.name || agent.id;
        return style.yellow(printable(`${who}: ${name} cannot be used: ${unusableReason}`));
      }),
  );
}

function gpuLines(gpus: readonly Gpu[], style: Style, columns: number | undefined): string[] {
  const table = renderTable(
    gpus,
    [
      { title: 'GPU', cell: (gpu) => gpu.name, flexible: true },
      {
        title: 'STATE',
        cell: (gpu) => (gpu.unusableReason === '' ? 'well' : 'unusable'),
        paint: (text, gpu) => (gpu.unusableReason === '' ? style.green(text) : style.yellow(text)),
      },
      { title: 'VRAM', cell: (gpu) => bytesOr(gpu.vramTotalBytes), align: 'right' },
      { title: 'FREE', cell: (gpu) => vram(gpu, gpu.vramFreeBytes), align: 'right' },
      { title: 'UNITS', cell: (gpu) => vram(gpu, gpu.vramOursBytes), align: 'right' },
      { title: 'OTHERS', cell: (gpu) => vram(gpu, gpu.vramForeignBytes), align: 'right' },
      { title: 'BUSY', cell: (gpu) => figure(gpu.utilisationPercent, '%'), align: 'right' },
      { title: 'ENCODERS', cell: (gpu) => figure(gpu.encoderSessions, ''), align: 'right' },
      { title: 'TEMP', cell: (gpu) => figure(gpu.temperatureCelsius, ' °C'), align: 'right' },
      { title: 'POWER', cell: (gpu) => figure(gpu.powerWatts, ' W'), align: 'right' },
      { title: 'DRIVER', cell: (gpu) => gpu.driver || '-' },
      { title: 'ID', cell: (gpu) => gpu.id },
    ],
    style,
    columns,
  );
  const reasons = gpus
    .filter(({ unusableReason }) => unusableReason !== '')
    .map((gpu) => style.yellow(printable(`${gpu.name}: ${gpu.unusableReason}`)));
  return [...table, ...reasons];
}

/** Which programs units may start there, and what keeps those in. */
function isolationWords(isolation: Isolation | undefined): string {
  if (isolation === undefined) return 'any; its version knows no rules for programs';
  const { level, detail, allowedCommands } = isolation;
  const isAny = allowedCommands.includes('*');
  const allowed = isAny ? 'any' : allowedCommands.join(', ') || 'none allowed';
  return `${allowed}; ${level === 'none' ? 'no sandbox' : level}: ${detail}`;
}

function versionWords(toolchain: Readonly<Record<string, string>>): string {
  const words = Object.entries(toolchain).map(([tool, version]) => `${tool} ${version}`);
  return printable(words.toSorted().join(', ')) || '-';
}

const bytesOr = (bytes: number): string => (bytes === 0 ? '-' : formatBytes(bytes));

/** What is used of memory whose size is not known is not known either. */
const vram = (gpu: Gpu, bytes: number): string =>
  gpu.vramTotalBytes === 0 ? '-' : formatBytes(bytes);

const figure = (value: number | undefined, unit: string): string =>
  value === undefined ? '-' : `${value}${unit}`;

/** An agent's policy as people read it. */
import { formatHours } from '../../kit/weekly-hours.ts';
import type { PolicyTerms } from '../../proto/agent-policy.ts';
import type { Report } from '../report.ts';
import { formatBytes, formatCores, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { printable } from './text-width.ts';

export function policyLines(report: Report & { kind: 'policy' }, style: Style): string[] {
  const { agent, terms, closedReason } = report;
  if (terms === undefined) return [`${agent} has no policy: it works whenever it is on`];
  const rows: [string, string][] = [
    ['agent', printable(agent)],
    ...(closedReason === undefined ? [] : [['closed', closedReason] satisfies [string, string]]),
    ['mode', modeWords(terms)],
    ['hours', hoursWords(terms)],
    ['closing', closingWords(terms)],
    ['most', capWords(terms)],
  ];
  if (terms.pausedUntilMs > Date.now()) {
    rows.push(['paused', `until ${new Date(terms.pausedUntilMs).toISOString()}`]);
  }
  const width = Math.max(...rows.map(([title]) => title.length));
  return rows.map(([title, text]) => `${style.dim(title.padEnd(width))}  ${text}`);
}

function modeWords({ mode, idleAfterMs, maxLoadPercent, maxGpuPercent }: PolicyTerms): string {
  if (mode !== 'idle') return mode;
  return `idle: no input, no load above ${maxLoadPercent}%, no GPU use above ${maxGpuPercent}% by others for ${formatDuration(idleAfterMs)}`;
}

function hoursWords({ hours, timeZone }: PolicyTerms): string {
  if (hours.length === 0) return 'any';
  return `${formatHours(hours)} (${timeZone === '' ? "the machine's time" : timeZone})`;
}

function closingWords({ onBusy, graceMs }: PolicyTerms): string {
  return onBusy === 'finish'
    ? 'running units finish'
    : `running units are evicted after ${formatDuration(graceMs)}`;
}

function capWords(terms: PolicyTerms): string {
  const { maxCpuMillis, maxUnits, maxVramPercent, maxBytesPerSecond } = terms;
  const caps = [
    ...(maxCpuMillis === 0 ? [] : [`${formatCores(maxCpuMillis)} cores`]),
    ...(maxUnits === 0 ? [] : [`${maxUnits} units`]),
    ...(maxVramPercent === 100 ? [] : [`${maxVramPercent}% of each GPU's memory`]),
    ...(maxBytesPerSecond === 0 ? [] : [`${formatBytes(maxBytesPerSecond)}/s of files`]),
  ];
  return caps.join(', ') || 'all there is';
}

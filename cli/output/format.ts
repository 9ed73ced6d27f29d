/** Quantities as people read them. One place, so that every screen says the same thing the same way. */

const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** `1.4 GiB`, `12 MiB`, `900 B`: three digits at most, and never `1024` of a unit. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (roundedForUnit(value, unit) >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${roundedForUnit(value, unit)} ${BYTE_UNITS[unit]}`;
}

function roundedForUnit(value: number, unit: number): number {
  return unit > 0 && value < 9.95 ? Math.round(value * 10) / 10 : Math.round(value);
}

/** `0.4s`, `12s`, `1m 12s`, `2h 05m`, `3d 04h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 9_950) return `${(Math.max(0, durationMs) / 1000).toFixed(1)}s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${padded(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${padded(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${padded(hours % 24)}h`;
}

/** `just now`, `12s ago`, `3d 04h ago`. */
export function formatAge(ageMs: number): string {
  return ageMs < 1000 ? 'just now' : `${formatDuration(Math.round(ageMs / 1000) * 1000)} ago`;
}

/** `47%`; 100% only when nothing is missing. */
export function formatFraction(fraction: number): string {
  const percent = Math.floor(Math.min(1, Math.max(0, fraction)) * 100);
  return `${percent}%`;
}

/** `1 unit`, `12 units`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Thousandths of a core: `4`, `0.5`. */
export function formatCores(cpuMillis: number): string {
  return String(Math.round(cpuMillis / 10) / 100);
}

function padded(value: number): string {
  return String(value).padStart(2, '0');
}

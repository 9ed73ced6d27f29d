/**
 * What nvidia-smi prints, read. It says that something is unknown (`[N/A]`, `[Not Supported]`), and that a
 * GPU is ill (`[GPU is lost]`), in the very cells of the figures; what it cannot say there it prints as a
 * sentence between the rows, on standard output. Pure.
 */

const MIB = 1024 * 1024;

/** Asked for in this order. What a driver does not know yet is left out: it refuses the whole query. */
export const GPU_FIELDS = [
  'index',
  'pci.bus_id',
  'uuid',
  'name',
  'driver_version',
  'memory.total',
  'memory.used',
  'memory.free',
  'memory.reserved',
  'utilization.gpu',
  'encoder.stats.sessionCount',
  'temperature.gpu',
  'power.draw',
  'mig.mode.current',
  'gpu_recovery_action',
] as const;
export type GpuField = (typeof GPU_FIELDS)[number];

/** One GPU at one moment. Null is what the driver does not tell. */
export interface GpuReading {
  readonly index: number;
  /** `01:00.0` and its domain, in one spelling. */
  readonly busId: string;
  /** Its UUID; null when it is too ill to tell. */
  readonly uuid: string | null;
  readonly name: string;
  readonly driver: string;
  readonly vramTotalBytes: number | null;
  readonly vramFreeBytes: number | null;
  readonly utilisationPercent: number | null;
  readonly encoderSessions: number | null;
  readonly temperatureCelsius: number | null;
  readonly powerWatts: number | null;
  /** It is cut into parts. */
  readonly isMig: boolean;
  /** What it says of itself when it is ill. */
  readonly fault: string | null;
}

export type SmiLine =
  | { readonly kind: 'reading'; readonly reading: GpuReading }
  /** A GPU that cannot even be asked. */
  | { readonly kind: 'lost'; readonly busId: string; readonly reason: string }
  /** The driver is older than the field. */
  | { readonly kind: 'unknown-field'; readonly field: string }
  /** Anything else that it says. */
  | { readonly kind: 'complaint'; readonly text: string };

const LOST =
  /^Unable to \w+ the device handle for GPU\s*\d*:?\s*([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]): *(.+)$/i;
const UNKNOWN_FIELD = /^Field "([^"]+)" is not a valid field to query/;

/** One line of `--query-gpu=<fields> --format=csv,noheader,nounits`; not an empty one. */
export function readGpuLine(line: string, fields: readonly GpuField[]): SmiLine {
  const text = line.trim();
  const lost = LOST.exec(text);
  if (lost !== null) {
    return { kind: 'lost', busId: plainBusId(lost[1]!), reason: withoutDot(lost[2]!) };
  }
  const field = UNKNOWN_FIELD.exec(text)?.[1];
  if (field !== undefined) return { kind: 'unknown-field', field };
  const cells = text.split(',').map((cell) => cell.trim());
  if (cells.length !== fields.length || !/^\d+$/.test(cells[0]!)) {
    return { kind: 'complaint', text: withoutDot(text) };
  }
  return { kind: 'reading', reading: readingOf(cells, fields) };
}

function readingOf(cells: readonly string[], fields: readonly GpuField[]): GpuReading {
  const cell = (field: GpuField): string => cells[fields.indexOf(field)] ?? '';
  const total = mebibytes(cell('memory.total'));
  const used = mebibytes(cell('memory.used'));
  const uuid = cell('uuid');
  return {
    index: Number(cell('index')),
    busId: plainBusId(cell('pci.bus_id')),
    uuid: /^GPU-[0-9a-f-]+$/i.test(uuid) ? uuid : null,
    name: isFigureless(cell('name')) ? 'NVIDIA GPU' : cell('name'),
    driver: isFigureless(cell('driver_version')) ? '' : cell('driver_version'),
    vramTotalBytes: total,
    vramFreeBytes:
      mebibytes(cell('memory.free')) ??
      // `used` leaves out what the driver keeps for itself on newer drivers, and holds it on older ones.
      (total === null || used === null
        ? null
        : Math.max(0, total - used - (mebibytes(cell('memory.reserved')) ?? 0))),
    utilisationPercent: figure(cell('utilization.gpu')),
    encoderSessions: figure(cell('encoder.stats.sessionCount')),
    temperatureCelsius: figure(cell('temperature.gpu')),
    powerWatts: figure(cell('power.draw')),
    isMig: cell('mig.mode.current') === 'Enabled',
    fault: faultIn(cells, cell),
  };
}

/**
 * Loss and a needed reset show in whatever cell needs the GPU. `[Unknown Error]` is an everyday answer
 * for the power of a laptop's GPU: it is a fault only where the memory should stand.
 */
function faultIn(cells: readonly string[], cell: (field: GpuField) => string): string | null {
  for (const text of cells) {
    if (/GPU is lost|requires reset|fallen off the bus/i.test(text)) return unbracketed(text);
  }
  for (const field of ['uuid', 'memory.total', 'memory.used'] as const) {
    if (/Unknown Error|^ERR!$/i.test(cell(field))) {
      return `nvidia-smi answers ${unbracketed(cell(field))} for its ${field}`;
    }
  }
  const action = cell('gpu_recovery_action');
  return /reset|reboot/i.test(action) ? `its driver asks for this: ${action}` : null;
}

/** Memory of processes on GPUs, one of `--query-compute-apps=pid,gpu_uuid,used_memory`. */
export interface AppReading {
  readonly pid: number;
  readonly gpuUuid: string;
  /** Null where the driver does not tell memory by process. */
  readonly vramBytes: number | null;
}

export function readApps(csv: string): readonly AppReading[] {
  return csv.split('\n').flatMap((line) => {
    const [pid = '', gpuUuid = '', used = ''] = line.split(',').map((cell) => cell.trim());
    return /^\d+$/.test(pid) ? [{ pid: Number(pid), gpuUuid, vramBytes: mebibytes(used) }] : [];
  });
}

/** `00000000:01:00.0` in a row is `0000:01:00.0` in a sentence. */
function plainBusId(busId: string): string {
  return busId.toLowerCase().replace(/^0+(?=[0-9a-f]{4}:)/, '');
}

function mebibytes(cell: string): number | null {
  const value = figure(cell);
  return value === null ? null : value * MIB;
}

/** Null for `[N/A]`, `[Not Supported]` and the like. */
function figure(cell: string): number | null {
  const value = cell === '' ? Number.NaN : Number(cell);
  return Number.isFinite(value) ? value : null;
}

function isFigureless(cell: string): boolean {
  return cell === '' || cell.startsWith('[');
}

function unbracketed(cell: string): string {
  return cell.replace(/^\[|\]$/g, '');
}

function withoutDot(sentence: string): string {
  return sentence.replace(/\s*\.\s*$/, '');
}

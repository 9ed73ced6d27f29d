/**
 * A machine's GPUs as the stand-in nvidia-smi of this folder tells them: a test plays what happens to
 * them. Figures in MiB, as nvidia-smi has them.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { GPU_FIELDS, type GpuField } from '../../agent/probe/nvidia-rows.ts';

/** One GPU's cells; what is left out has the value of a healthy card. */
export type GpuCells = Partial<Record<GpuField, string>>;

const HEALTHY: Record<GpuField, string> = {
  index: '0',
  'pci.bus_id': '00000000:01:00.0',
  uuid: 'GPU-11111111-0000-0000-0000-000000000000',
  name: 'NVIDIA GeForce RTX 3060',
  driver_version: '550.54.14',
  'memory.total': '12288',
  'memory.used': '300',
  'memory.free': '11734',
  'memory.reserved': '254',
  'utilization.gpu': '0',
  'encoder.stats.sessionCount': '0',
  'temperature.gpu': '41',
  'power.draw': '13.52',
  'mig.mode.current': '[N/A]',
  gpu_recovery_action: 'None',
};

export class TestGpus {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#folder = folder;
  }

  /** For a process that is to find the stand-in. */
  get environment(): NodeJS.ProcessEnv {
    const path = [import.meta.dirname, process.env['PATH']].join(delimiter);
    return { PATH: path, FURROW_TEST_GPUS: this.#folder };
  }

  /** What nvidia-smi tells from now on. `fields`: those that the driver knows. */
  show(
    gpus: readonly (GpuCells | { readonly says: string })[],
    fields: readonly GpuField[] = GPU_FIELDS,
  ): void {
    const lines = gpus.map((gpu, index) => {
      if ('says' in gpu) return `!${gpu.says}`;
      const place = { index: String(index), 'pci.bus_id': `00000000:0${index + 1}:00.0` };
      const uuid = uuidOf(index);
      const cells = { ...HEALTHY, ...place, uuid, ...gpu };
      return fields.map((field) => cells[field]).join(', ');
    });
    this.#write('gpus.csv', [fields.join(', '), ...lines, ''].join('\n'));
  }

  /** Lines of `pid, gpu_uuid, used_memory`. */
  showApps(...lines: readonly string[]): void {
    this.#write('apps.csv', lines.map((line) => `${line}\n`).join(''));
  }

  hang(): void {
    this.#write('mood', 'hang');
  }

  /** Every call prints the words and ends with the code. */
  fail(code: number, words: string): void {
    this.#write('mood', `exit ${code} ${words}`);
  }

  beWell(): void {
    this.#write('mood', '');
  }

  /** The arguments of each call so far. */
  calls(): readonly string[] {
    const path = join(this.#folder, 'calls');
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8').trimEnd().split('\n');
  }

  /** At once, for the stand-in may read it at any moment. */
  #write(name: string, text: string): void {
    const path = join(this.#folder, name);
    writeFileSync(`${path}.draft`, text);
    renameSync(`${path}.draft`, path);
  }
}

/** The UUID that `show` gives to the GPU in this place. */
export function uuidOf(index: number): string {
  return `GPU-${String(index + 1).repeat(8)}-0000-0000-0000-000000000000`;
}

/**
 * Which processes this agent started, one small file each, so that the next run can end them when
 * this one is killed. Written synchronously: between the start of a process and its record there is
 * no moment at which other code of the agent runs.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { bootId } from './process-table.ts';
import { endTree, type ProcessTree } from './process-tree.ts';

const recordSchema = z.object({
  pid: z.number().int().positive(),
  startTicks: z.number().nullable(),
  marker: z.string().min(1),
  bootId: z.string(),
  isSandbox: z.boolean().optional(),
});

export class ProcessRecords {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  add(tree: ProcessTree): void {
    const { pid, startTicks, marker, isSandbox } = tree;
    const record = { pid, startTicks, marker, bootId: bootId(), isSandbox };
    writeFileSync(join(this.#directory, tree.marker), JSON.stringify(record));
  }

  remove(tree: ProcessTree): void {
    rmSync(join(this.#directory, tree.marker), { force: true });
  }

  /** Ends what an earlier run left. Answers the processes that could not be ended. */
  async endLeftovers(): Promise<readonly ProcessTree[]> {
    const survivors = await Promise.all(
      readdirSync(this.#directory).map(async (name) => {
        const path = join(this.#directory, name);
        const tree = readRecord(path);
        if (tree !== null && !(await endTree(tree))) return [tree];
        rmSync(path, { force: true });
        return [];
      }),
    );
    return survivors.flat();
  }
}

/** Null when it cannot be read, or when the machine has started anew since. */
function readRecord(path: string): ProcessTree | null {
  try {
    const record = recordSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    return record.bootId === bootId() ? { ...record, groupIsCertain: false } : null;
  } catch {
    return null;
  }
}

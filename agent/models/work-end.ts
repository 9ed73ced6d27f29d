/** How a work ended, in the farm's words: from what a worker said, or from how it died. Pure. */
import type { Demand } from '../../proto/gen/furrow/v1/step.ts';
import type { MemoryEnd } from '../process/memory-limits.ts';
import type { FailureKind } from '../runners/runner.ts';
import type { WorkEnd } from './lent-model.ts';
import { memoryFaultOf } from './worker/work-failure.ts';
import type { CommandEnd } from './worker-process.ts';

/** A model cannot be had: the unit fails with this. */
export class WorkRefused extends Error {
  override readonly name = 'WorkRefused';
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface EndedWork {
  readonly provider: string;
  /** Why its memory was guarded to death: the worker alone, or with its whole unit. */
  readonly ends: readonly (MemoryEnd | null)[];
  readonly demand: Demand;
}

const MIB = 2 ** 20;

export function endOf(end: CommandEnd, { provider, ends, demand }: EndedWork): WorkEnd {
  switch (end.event) {
    case 'loaded':
      return { state: 'done', peak: null };
    case 'done':
      return { state: 'done', peak: end.peak };
    case 'failed': {
      const { kind, message, mayShrink, echoOf } = end;
      return { state: 'failed', kind, message, mayShrink, echoOf };
    }
    case 'died': {
      const { how, byKernel, lines } = end.death;
      const given = `its unit demands ${Math.floor(demand.ramBytes / MIB)} MiB`;
      const memoryEnd = ends.find((known) => known !== null);
      if (memoryEnd !== undefined || byKernel) {
        const used =
          memoryEnd === undefined ? '' : ` at ${Math.ceil(memoryEnd.usedBytes / MIB)} MiB`;
        const message = `the model was ended${used} for the memory it took; ${given}`;
        return { state: 'failed', kind: 'out-of-memory', message, mayShrink: true };
      }
      const fatal = lines.find((line) => memoryFaultOf(line, provider) !== undefined);
      if (fatal !== undefined) {
        const kind = memoryFaultOf(fatal, provider) ?? 'out-of-memory';
        const message = `the model's process ran out of memory (${fatal.trim()}); ${given}`;
        return { state: 'failed', kind, message, mayShrink: true };
      }
      const said = lines.findLast((line) => line.trim() !== '')?.trim() ?? '';
      const message =
        `the process that ran the model ended by itself (${how})${said === '' ? '' : `: ${said}`}; ` +
        'the model or its runtime is broken here: check the model, or choose another provider';
      return { state: 'failed', kind: 'failed', message, mayShrink: false };
    }
  }
}

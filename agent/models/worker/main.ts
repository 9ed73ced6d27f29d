/**
 * The process that holds one model. It does what it is told, a command at a time, and ends when its standard
 * input does, or after the first command that failed: what an error leaves behind goes with the process.
 * It knows nothing of the farm, and its folder is all that it may write to.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ModelCommand, WorkCommand, WorkerAnswer, WorkPeak } from '../model-work.ts';
import { FramePipes } from './frame-pipes.ts';
import { type LoadedModel, loadModel } from './load-model.ts';
import { forgetPeak, limitOwnMemory, readOwnMemory } from './own-memory.ts';
import { memoryFaultOf, WorkFailure } from './work-failure.ts';
import { doWork, type WorkContext } from './works.ts';

const PROGRESS_PAUSE_MS = 200;
/** Buffers that nobody needs are freed when there are so many bytes of them. */
const MOST_GARBAGE_BYTES = 64 * 1024 * 1024;

declare const gc: (() => void) | undefined;

let model: LoadedModel | undefined;
/** Resident memory with the model loaded, before any work. */
let loadedBytes = 0;

// Whatever is thrown where nobody waits for it ends the process, and the agent sees that.
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as ModelCommand;
  try {
    say(await obey(command));
  } catch (error) {
    say(failed(error, command));
    process.exit(1);
  }
}

async function obey(command: ModelCommand): Promise<WorkerAnswer> {
  switch (command.op) {
    case 'load': {
      model = await loadModel(command);
      const { inputs, outputs } = model;
      loadedBytes = readOwnMemory()?.residentBytes ?? 0;
      return { event: 'loaded', inputs, outputs, residentBytes: loadedBytes };
    }
    case 'work':
      if (model === undefined) throw new WorkFailure('failed', 'no model is loaded');
      return work(model, command);
  }
}

async function work(holding: LoadedModel, command: WorkCommand): Promise<WorkerAnswer> {
  // A GPU's driver maps far more than it takes.
  if (holding.provider === 'cpu') limitOwnMemory(command.memoryBytes ?? Infinity);
  forgetPeak();
  let most = { pixels: 0, otherBytes: 0 };
  let garbageBytes = 0;
  let toldAtMs = -Infinity;
  const pipes = new FramePipes();
  const context: WorkContext = {
    pipes,
    tell: (answer) => {
      if (answer.event === 'progress') {
        const nowMs = performance.now();
        if (nowMs - toldAtMs < PROGRESS_PAUSE_MS) return;
        toldAtMs = nowMs;
      }
      say(answer);
    },
    notePeak: (pixels, otherBytes) => {
      if (pixels >= most.pixels) most = { pixels, otherBytes };
    },
    noteGarbage: (bytes) => {
      garbageBytes += bytes;
      if (garbageBytes < MOST_GARBAGE_BYTES) return;
      garbageBytes = 0;
      gc?.();
    },
    collect: () => gc?.(),
  };
  try {
    await doWork(holding, command.work, context);
    return { event: 'done', peak: peakOf(most) };
  } finally {
    pipes.close();
  }
}

/** The system keeps the peak itself: it is read once, not after each picture. */
function peakOf({ pixels, otherBytes }: { pixels: number; otherBytes: number }): WorkPeak | null {
  const bytes = (readOwnMemory()?.peakBytes ?? 0) - loadedBytes - otherBytes;
  return pixels > 0 && bytes > 0 ? { bytes, pixels } : null;
}

function failed(error: unknown, command: ModelCommand): WorkerAnswer {
  if (error instanceof WorkFailure) {
    const { kind, message, echoOf } = error;
    return { event: 'failed', kind, message, mayShrink: false, echoOf };
  }
  const provider = command.op === 'load' ? command.provider : (model?.provider ?? 'cpu');
  const said = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ');
  const fault = memoryFaultOf(error, provider);
  const kind = fault ?? 'failed';
  const mayShrink = fault !== undefined;
  return { event: 'failed', kind, message: `the model failed: ${said}`, mayShrink };
}

/** At once: a process that ends loses nothing that it said. */
function say(answer: WorkerAnswer): void {
  const line = Buffer.from(`${JSON.stringify(answer)}\n`);
  for (let at = 0; at < line.length;) {
    try {
      at += writeSync(1, line, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** What an attempt needs of the outside. Adapters implement these. */
import type { Clock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { Assignment } from './assignment.ts';
import type { AttemptFiles } from './attempt-files.ts';
import type { CheckpointVerdict } from './checkpoint-saver.ts';
import type { FailurePattern } from './failure-patterns.ts';
import type { SessionPool } from './models/session-pool.ts';
import type { MemoryGuard } from './process/memory-guard.ts';
import type { ProcessHost } from './process/run-process.ts';
import type { RunnerRegistry } from './runners/registry.ts';
import type { ProgramRules } from './sandbox/isolation.ts';

/** Bytes from the coordinator and back. Retryable errors mean that the store is away. */
export interface BlobTransfer {
  /** Puts the file into the directory under its name, verified. */
  place(file: File, directory: string, signal: AbortSignal): Promise<unknown>;
  /** Names of those placed files whose bytes somebody changed since. */
  altered(files: readonly File[]): Promise<readonly string[]>;
  /** Stores the file unless the store has it already, and leaves it as it is. */
  store(path: string, signal: AbortSignal): Promise<{ sha256: string; sizeBytes: number }>;
  /** As `store`; the file becomes read-only, so that it can be kept for the next unit that takes it. */
  upload(path: string, signal: AbortSignal): Promise<{ sha256: string; sizeBytes: number }>;
}

/** What people may see of an attempt while it runs. */
export interface UnitTelemetry {
  progress(assignment: Assignment, fraction: number, counter: number, note: string): void;
  log(assignment: Assignment, line: string): void;
}

/** The way checkpoints take to the coordinator. */
export interface CheckpointChannel {
  /** Never rejects. */
  offerCheckpoint(assignment: Assignment, files: readonly File[]): Promise<CheckpointVerdict>;
}

/** What is known of the GPUs that attempts run on. */
export interface UnitGpus {
  /** What is wrong with one of them, now or with the next look, in one line; null when nothing is. */
  faultOf(gpuIds: readonly string[]): Promise<string | null>;
  /** A process that cannot be ended holds them. */
  giveUp(gpuIds: readonly string[], why: string): void;
}

export interface ExecutorPorts {
  readonly clock: Clock;
  readonly blobs: BlobTransfer;
  readonly files: AttemptFiles;
  readonly processes: ProcessHost;
  readonly programs: ProgramRules;
  readonly memory: MemoryGuard;
  readonly models: Pick<SessionPool, 'lend' | 'makeRoom'>;
  readonly runners: RunnerRegistry;
  readonly telemetry: UnitTelemetry;
  readonly checkpoints: CheckpointChannel;
  readonly gpus: UnitGpus;
  /** The owner's, before the built-in ones. */
  readonly failurePatterns: readonly FailurePattern[];
  readonly log: Logger;
}

/** What commands answer: data, which output/text.ts and output/json.ts print. */
import type { Agent, GetStatusResponse } from '../proto/gen/furrow/v1/farm_service.ts';
import type { Job, Unit } from '../proto/gen/furrow/v1/job_service.ts';

import type { Kill, Loss } from './demo/story.ts';

/** A file that was downloaded. */
export interface FetchedFile {
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** How a demo went. Times are Unix time in milliseconds. */
export interface DemoReport {
  readonly kind: 'demo';
  /** Name of the film that was worked on. */
  readonly source: string;
  readonly sourceFrames: number;
  readonly film: FetchedFile;
  readonly filmFrames: number;
  readonly proof: FetchedFile;
  readonly chunks: number;
  /** Frames that the film must have. */
  readonly plannedFrames: number;
  readonly checks: number;
  readonly checksHeld: number;
  /** Chunks by the agent whose result was accepted. */
  readonly chunksBy: Readonly<Record<string, number>>;
  readonly kill: Kill | undefined;
  readonly losses: readonly Loss[];
  readonly leaseTtlMs: number;
  readonly submittedAtMs: number;
  readonly endedAtMs: number;
  /** From the command's start to the count of the frames. */
  readonly tookMs: number;
}

export type Report =
  | { readonly kind: 'jobs'; readonly jobs: readonly Job[]; readonly ageMs: number }
  | { readonly kind: 'units'; readonly units: readonly Unit[] }
  | { readonly kind: 'agents'; readonly agents: readonly Agent[] }
  | { readonly kind: 'status'; readonly address: string; readonly status: GetStatusResponse }
  | {
      readonly kind: 'submitted';
      readonly job: Job;
      readonly clientId: string;
      readonly alreadySubmitted: boolean;
    }
  /** A job after something was done to it. */
  | { readonly kind: 'changed'; readonly job: Job; readonly words: string }
  | { readonly kind: 'fetched'; readonly jobId: string; readonly files: readonly FetchedFile[] }
  | { readonly kind: 'drained'; readonly agent: string; readonly draining: boolean }
  | DemoReport;

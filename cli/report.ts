/** What commands answer: data, which output/text.ts and output/json.ts print. */
import type { PolicyTerms } from '../proto/agent-policy.ts';
import type {
  AccessToken,
  Agent,
  GetStatusResponse,
  LearnedSize,
  Owner,
  Ticket,
} from '../proto/gen/furrow/v1/farm_service.ts';
import type { Model } from '../proto/gen/furrow/v1/model_service.ts';
import type { ExplainResponse, Job, JobPlan, Unit } from '../proto/gen/furrow/v1/job_service.ts';

import type { FilmResult } from '../kit/film-results.ts';
import type { ProofReport } from '../kit/proof-report.ts';
import type { ShownSetting } from '../kit/settings-sources.ts';
import type { ContextView } from './context-view.ts';
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

/** How a model ran once. */
export interface ModelTrial {
  /** Of onnxruntime. */
  readonly provider: string;
  readonly jobId: string;
  /** Why it did not; one line. */
  readonly fault: string | undefined;
  /** What it took and made; undefined when it did not run. */
  readonly facts:
    | {
        readonly loadMs: number;
        readonly runMs: number;
        /** Beyond what its process had with the model loaded; 0 where nobody saw it. */
        readonly peakBytes: number;
        /** Pixels of the picture that it was given. */
        readonly width: number;
        readonly height: number;
        readonly inputs: readonly {
          readonly name: string;
          readonly type: string;
          readonly shape: readonly (number | string)[];
        }[];
        readonly outputs: readonly {
          readonly name: string;
          readonly dims: readonly number[];
          readonly least: number;
          readonly most: number;
        }[];
      }
    | undefined;
}

/** One of a job's proofs, as its outputs name it. */
export interface JobProof {
  readonly name: string;
  readonly report: ProofReport;
}

export type Report =
  | {
      readonly kind: 'jobs';
      readonly jobs: readonly Job[];
      readonly ageMs: number;
      /** Why jobs are missing. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: 'job'; readonly job: Job }
  | { readonly kind: 'removed'; readonly jobId: string }
  | { readonly kind: 'units'; readonly units: readonly Unit[]; readonly ageMs: number }
  | { readonly kind: 'explanation'; readonly answer: ExplainResponse }
  | {
      readonly kind: 'agents';
      readonly agents: readonly Agent[];
      readonly ageMs: number;
      /** Empty where the coordinator is too old to say it. */
      readonly coordinatorVersion: string;
    }
  | { readonly kind: 'sizes'; readonly sizes: readonly LearnedSize[] }
  | { readonly kind: 'agent'; readonly agent: Agent; readonly ageMs: number }
  | {
      readonly kind: 'status';
      readonly address: string;
      /** Name of the context that was asked; undefined where none was. */
      readonly context: string | undefined;
      readonly status: GetStatusResponse;
    }
  /** What a job would be. */
  | {
      readonly kind: 'plan';
      readonly name: string;
      readonly plan: JobPlan;
      readonly notes: readonly string[];
    }
  | {
      readonly kind: 'submitted';
      readonly job: Job;
      readonly clientId: string;
      readonly alreadySubmitted: boolean;
      /** What the farm chose where it was left to it, a sentence each. */
      readonly notes: readonly string[];
    }
  /** A job after something was done to it. */
  | { readonly kind: 'changed'; readonly job: Job; readonly words: string }
  | { readonly kind: 'fetched'; readonly jobId: string; readonly files: readonly FetchedFile[] }
  | { readonly kind: 'proofs'; readonly jobId: string; readonly proofs: readonly JobProof[] }
  | { readonly kind: 'results'; readonly jobId: string; readonly films: readonly FilmResult[] }
  | { readonly kind: 'tickets'; readonly tickets: readonly Ticket[] }
  | { readonly kind: 'owners'; readonly owners: readonly Owner[] }
  | {
      readonly kind: 'policy';
      readonly agent: string;
      /** Undefined: it has none. */
      readonly terms: PolicyTerms | undefined;
      readonly closedReason: string | undefined;
    }
  | { readonly kind: 'tokens'; readonly tokens: readonly AccessToken[] }
  | {
      readonly kind: 'token';
      readonly token: AccessToken | undefined;
      readonly secret: string;
      readonly url: string;
    }
  | {
      readonly kind: 'invitation';
      readonly id: string;
      readonly url: string;
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'revoked'; readonly what: 'token' | 'agent'; readonly name: string }
  | { readonly kind: 'drained'; readonly agent: string; readonly draining: boolean }
  | { readonly kind: 'models'; readonly models: readonly Model[] }
  | { readonly kind: 'model'; readonly model: Model }
  | {
      readonly kind: 'model-trials';
      readonly model: string;
      readonly trials: readonly ModelTrial[];
    }
  | { readonly kind: 'model-removed'; readonly name: string }
  | { readonly kind: 'contexts'; readonly contexts: readonly ContextView[] }
  /** `words` say what was done to it; without them all of it is shown. */
  | { readonly kind: 'context'; readonly context: ContextView; readonly words: string | undefined }
  | { readonly kind: 'context-removed'; readonly name: string }
  | { readonly kind: 'config'; readonly role: string; readonly settings: readonly ShownSetting[] }
  | DemoReport;

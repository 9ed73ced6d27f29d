/**
 * `proof.json`: what was checked of a job's outputs, with figures, for people and programs. Every recipe
 * leaves one of this shape among its kept outputs; agents write it and clients show it. Fields are added,
 * never changed.
 */
import { z } from 'zod';
import type { BlobName } from './sha256-file.ts';

export const PROOF_NAME = 'proof.json';

/** One thing that was checked. */
export interface Check {
  /** What, in a few words, with the unit of its figures. */
  readonly check: string;
  readonly expected: string | number;
  readonly found: string | number;
  /** What is wrong, in one line; absent when all is well. */
  readonly finding?: string | undefined;
}

/** A file that was proven: what was read when it was checked. */
export interface ProvenFile extends BlobName {
  /** As the job's outputs name it. */
  readonly name: string;
}

/** Words and figures about what was proven: `frames`, or `source: { codec, width }`. */
export type ProofFacts = Readonly<Record<string, Fact | Readonly<Record<string, Fact>>>>;
type Fact = string | number | boolean | undefined;

const factSchema = z.union([z.string(), z.number(), z.boolean()]);
const fileSchema = z.object({ name: z.string(), sizeBytes: z.number(), sha256: z.string() });

const reportSchema = z
  .object({
    version: z.literal(1),
    ok: z.boolean(),
    /** Absent in reports of version 0.1, which are of one `film`. */
    files: z.array(fileSchema).optional(),
    checks: z.array(
      z.object({
        check: z.string(),
        expected: z.union([z.string(), z.number()]),
        found: z.union([z.string(), z.number()]),
        finding: z.string().optional(),
        ok: z.boolean(),
      }),
    ),
  })
  // What a recipe says beyond that.
  .catchall(z.unknown());

type CheckedCheck = Check & { readonly ok: boolean };

export interface ProofReport {
  readonly ok: boolean;
  readonly files: readonly ProvenFile[];
  readonly facts: ProofFacts;
  readonly checks: readonly CheckedCheck[];
}

/** The report as it is stored. A proof without a check proves nothing. */
export function proofText(
  files: readonly ProvenFile[],
  checks: readonly Check[],
  facts: ProofFacts,
): string {
  const ok = checks.length > 0 && checks.every(({ finding }) => finding === undefined);
  const report = {
    version: 1,
    ok,
    files: files.map(({ name, sizeBytes, sha256 }) => ({ name, sizeBytes, sha256 })),
    ...facts,
    checks: checks.map((check) => ({ ...check, ok: check.finding === undefined })),
  };
  return `${JSON.stringify(report, undefined, 2)}\n`;
}

/** Undefined when the text is no report that this version reads. */
export function parseProof(text: string): ProofReport | undefined {
  const parsed = reportSchema.safeParse(jsonOf(text));
  if (!parsed.success) return undefined;
  const { version: _version, ok, files, checks, ...rest } = parsed.data;
  const film = fileSchema.safeParse(rest['film']);
  return {
    ok: ok && checks.every((check) => check.ok),
    files: files ?? (film.success ? [film.data] : []),
    facts: Object.fromEntries(Object.entries(rest).flatMap(factOf)),
    checks,
  };
}

/** What cannot be shown as words and figures is left out. */
function factOf([name, value]: [string, unknown]): [string, ProofFacts[string]][] {
  const fact = z.union([factSchema, z.record(z.string(), factSchema)]).safeParse(value);
  return fact.success ? [[name, fact.data]] : [];
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a job's output is a proof: `proof.json`, alone, in a folder, or behind its subject's name. */
export function isProof(output: string): boolean {
  return /(^|[./])proof\.json$/.test(output);
}

/** Writes `proof.json` for whatever recipe: see `kit/proof-report.ts` for its shape. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  PROOF_NAME,
  proofText,
  type Check,
  type ProofFacts,
  type ProvenFile,
} from '../../kit/proof-report.ts';
import { sha256File } from '../../kit/sha256-file.ts';

export interface Proof {
  readonly files: readonly ProvenFile[];
  /** At least one. */
  readonly checks: readonly Check[];
  readonly facts?: ProofFacts;
  /** Default `proof.json`. */
  readonly name?: string;
}

/** Into a unit's directory. Whoever calls it still ends the unit as `bad-output` on `firstFinding`. */
export async function writeProof(directory: string, proof: Proof): Promise<void> {
  const { files, checks, facts = {}, name = PROOF_NAME } = proof;
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, proofText(files, checks, facts));
}

/** What is wrong, in one line; undefined when all is well. */
export function firstFinding(checks: readonly Check[]): string | undefined {
  return checks.find(({ finding }) => finding !== undefined)?.finding;
}

/** A file of a unit's directory, read whole, as a proof names it. */
export async function provenFile(directory: string, name: string): Promise<ProvenFile> {
  return { name, ...(await sha256File(join(directory, name))) };
}

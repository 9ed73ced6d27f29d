/** `proof.json`: what was checked of a film, with figures, for people and programs. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobName } from '../../../kit/sha256-file.ts';
import { filmFrameCount } from './film-frames.ts';
import type { FilmPlan } from './film-plan.ts';
import type { MediaStream } from './source-facts.ts';

const PROOF_NAME = 'proof.json';

/** One thing that was checked. `finding` is one line, and absent when all is well. */
export interface Check {
  readonly check: string;
  readonly expected: string | number;
  readonly found: string | number;
  readonly finding?: string | undefined;
}

export async function writeProof(
  directory: string,
  film: BlobName & { readonly name: string },
  picture: MediaStream,
  plan: FilmPlan,
  checks: readonly Check[],
): Promise<void> {
  const report = {
    version: 1,
    ok: checks.every((check) => check.finding === undefined),
    film: {
      name: film.name,
      sizeBytes: film.sizeBytes,
      sha256: film.sha256,
      codec: picture.codec_name,
      width: picture.width,
      height: picture.height,
      pixelFormat: picture.pix_fmt,
    },
    source: {
      name: plan.source.name,
      codec: plan.source.codec,
      width: plan.source.width,
      height: plan.source.height,
      pixelFormat: plan.source.pixelFormat,
    },
    frames: filmFrameCount(plan),
    chunks: plan.pieces.length,
    checks: checks.map((check) => ({ ...check, ok: check.finding === undefined })),
  };
  await writeFile(join(directory, PROOF_NAME), `${JSON.stringify(report, undefined, 2)}\n`);
}

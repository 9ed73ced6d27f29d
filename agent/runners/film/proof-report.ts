/** What the proof of a film says of it beyond its checks. */
import type { Check, ProvenFile } from '../../../kit/proof-report.ts';
import { writeProof as writeReport } from '../proof-report.ts';
import { filmFrameCount } from './film-frames.ts';
import type { FilmPlan } from './film-plan.ts';
import type { MediaStream } from './source-facts.ts';

/** `name`: of the report; default `proof.json`. */
export async function writeProof(
  directory: string,
  film: ProvenFile,
  picture: MediaStream,
  plan: FilmPlan,
  checks: readonly Check[],
  report?: string,
): Promise<void> {
  const facts = {
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
  };
  await writeReport(directory, {
    files: [film],
    checks,
    facts,
    ...(report !== undefined && { name: report }),
  });
}

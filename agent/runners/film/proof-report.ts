/** What the proof of a film says of it beyond its checks. */
import type { Check, ProofFacts, ProvenFile } from '../../../kit/proof-report.ts';
import { writeProof as writeReport } from '../proof-report.ts';
import { filmFrameCount } from './film-frames.ts';
import { pieceTimes, type FilmPlan } from './film-plan.ts';
import { parityOf } from './interlace.ts';
import type { MediaStream } from './source-facts.ts';
import type { ChunkSeal } from './chunk-seal.ts';
import { formatClock, secondsOf } from './timeline.ts';

/** Frames are all there, but some show what the decoder made up: people should look at them. */
function damageOf(plan: FilmPlan, seals: readonly ChunkSeal[]): string | undefined {
  const damaged = seals.filter(({ sourceDamage }) => sourceDamage !== undefined);
  const [first] = damaged;
  const piece = plan.pieces.find(({ name }) => name === first?.piece);
  if (first === undefined || piece === undefined) return undefined;
  const at = secondsOf(pieceTimes(plan, piece)[0]! - plan.times.first, plan.timeBase);
  return `in ${damaged.length} of ${seals.length} chunks, first in the one from ${formatClock(at)}: ${first.sourceDamage}`;
}

/** What encoded the film, and why it was not what should have. */
function encoderFacts(seals: readonly ChunkSeal[]): Pick<ProofFacts, 'encoder' | 'fallback'> {
  const encoders = new Set(seals.flatMap(({ encoder }) => encoder ?? []));
  const fallback = seals.find((seal) => seal.fallback !== undefined)?.fallback;
  return { encoder: encoders.size === 0 ? undefined : [...encoders].join(', '), fallback };
}

/** Not wrong, and nothing that anybody sees before it is too late: what the film has not of its source. */
function remarksOf({ source, deinterlace }: FilmPlan, picture: MediaStream): ProofFacts[string] {
  const fields =
    source.interlaced === true && deinterlace === undefined && isProgressive(picture)
      ? 'the source is interlaced: its fields are in the frames as they were, and the film does not say so (--deinterlace auto makes whole pictures)'
      : undefined;
  const alpha =
    hasAlpha(source.pixelFormat) && !hasAlpha(picture.pix_fmt ?? '')
      ? `the source is transparent in places, and ${picture.codec_name ?? 'the film'} is not`
      : undefined;
  return fields === undefined && alpha === undefined ? undefined : { fields, alpha };
}

function isProgressive({ field_order: order }: MediaStream): boolean {
  return parityOf(order) === undefined;
}

/** By ffmpeg's name of the format; a palette may have some, and mostly has none. */
function hasAlpha(pixelFormat: string): boolean {
  return /^(yuva|gbrap|rgba|bgra|argb|abgr|ya\d|vuya|ayuv)/.test(pixelFormat);
}

/** `name`: of the report; default `proof.json`. */
export async function writeProof(
  directory: string,
  film: ProvenFile,
  picture: MediaStream,
  plan: FilmPlan,
  seals: readonly ChunkSeal[],
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
    ...encoderFacts(seals),
    sourceDamage: damageOf(plan, seals),
    remarks: remarksOf(plan, picture),
  };
  await writeReport(directory, {
    files: [film],
    checks,
    facts,
    ...(report !== undefined && { name: report }),
  });
}

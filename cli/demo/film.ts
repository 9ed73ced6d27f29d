/** The demo's film and its proof, brought to a folder that stays, under names that nobody has yet. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { z } from 'zod';
import type { Job } from '../../proto/gen/furrow/v1/job_service.ts';
import type { CommandContext } from '../command.ts';
import { fetchOutputs } from '../fetch-outputs.ts';
import type { FetchedFile } from '../report.ts';

/** In the folder that the user is in. */
const FOLDER = 'furrow-demo';
const PROOF_NAME = 'proof.json';

/** FurrowError: those of fetchOutputs. */
export async function fetchFilm(
  job: Job,
  context: CommandContext,
): Promise<{ readonly film: FetchedFile; readonly proof: FetchedFile }> {
  const film = job.outputs.find((output) => output.name !== PROOF_NAME);
  const proof = job.outputs.find((output) => output.name === PROOF_NAME);
  if (!film || !proof) throw new TypeError(`${job.id} kept no film, or no proof`);
  await mkdir(FOLDER, { recursive: true });
  const { base, proofPath } = await freeNames(film.name);
  const placements = [
    { file: film, path: base },
    { file: proof, path: proofPath },
  ];
  const [fetchedFilm, fetchedProof] = await fetchOutputs(job.id, placements, false, context);
  return { film: fetchedFilm!, proof: fetchedProof! };
}

/** `demo.mp4`, else `demo-2.mp4` …: an earlier film is never replaced. */
async function freeNames(name: string): Promise<{ base: string; proofPath: string }> {
  const { name: stem, ext } = parse(name);
  for (let number = 1; ; number += 1) {
    const path = join(FOLDER, number === 1 ? stem : `${stem}-${number}`);
    const names = { base: `${path}${ext}`, proofPath: `${path}.proof.json` };
    const taken = await Promise.all(Object.values(names).map(isThere));
    if (!taken.includes(true)) return names;
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const proofSchema = z.object({
  chunks: z.number(),
  frames: z.number(),
  checks: z.array(z.object({ ok: z.boolean() })),
});

export interface ProofFigures {
  readonly chunks: number;
  /** Frames that the film must have, as the farm planned them. */
  readonly plannedFrames: number;
  readonly checks: number;
  readonly checksHeld: number;
}

export async function readProof(path: string): Promise<ProofFigures> {
  const { chunks, frames, checks } = proofSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  const held = checks.filter((check) => check.ok).length;
  return { chunks, plannedFrames: frames, checks: checks.length, checksHeld: held };
}

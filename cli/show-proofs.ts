/** What was checked of a job's files: its proofs, read from among its kept outputs. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadBlob } from '../kit/blob-transfer.ts';
import { JOB_HEADER } from '../kit/blob-protocol.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import { isProof, parseProof, type ProofReport } from '../kit/proof-report.ts';
import type { Job } from '../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { jobWithFiles } from './fetch-outputs.ts';
import type { JobProof } from './report.ts';

/** A proof is some lines for each check; what is larger is none of ours. */
const MAX_PROOF_BYTES = 16 * 1024 * 1024;

/**
 * All proofs of a job, or the one that is named. FurrowError: failed-precondition NO_PROOF; data-loss
 * PROOF_UNREADABLE; those of jobWithFiles and of the blob transfer.
 */
export async function showProofs(
  jobId: string,
  name: string | undefined,
  context: CommandContext,
): Promise<CommandResult> {
  const job = await jobWithFiles(jobId, context);
  const files = chosen(job, name);
  const folder = await mkdtemp(join(tmpdir(), 'furrow-proof-'));
  try {
    const proofs: JobProof[] = [];
    for (const file of files) {
      proofs.push({ name: file.name, report: await readProof(job.id, file, folder, context) });
    }
    const exitCode = proofs.every(({ report }) => report.ok) ? EXIT.ok : EXIT.jobFailed;
    return { report: { kind: 'proofs', jobId: job.id, proofs }, exitCode };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function chosen({ id, outputs }: Job, name: string | undefined): File[] {
  const proofs = outputs.filter((output) => isProof(output.name));
  const wanted = name === undefined ? proofs : proofs.filter((proof) => proof.name === name);
  if (wanted.length > 0) return wanted;
  const message =
    proofs.length === 0
      ? `${id} has no proof: only what recipes make is proven`
      : `${id} has no proof named ${JSON.stringify(name)}: see furrow proof ${id}`;
  throw new FurrowError('failed-precondition', 'NO_PROOF', message);
}

async function readProof(
  jobId: string,
  file: File,
  folder: string,
  { blobs, signal }: CommandContext,
): Promise<ProofReport> {
  const unreadable = (why: string): FurrowError =>
    new FurrowError('data-loss', 'PROOF_UNREADABLE', `${file.name} of ${jobId} ${why}`);
  if (file.sizeBytes > MAX_PROOF_BYTES) throw unreadable('is too large for a proof');
  const path = join(folder, file.sha256);
  const target = Object.assign(await blobs(), { headers: { [JOB_HEADER]: jobId } });
  await downloadBlob(target, file, path, { signal });
  const report = parseProof(await readFile(path, 'utf8'));
  if (report === undefined) {
    throw unreadable('is no proof that this version reads: update furrow, or fetch the file');
  }
  return report;
}

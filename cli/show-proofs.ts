/** What was checked of a job's files: its proofs, read from among its kept outputs. */
import { FurrowError } from '../kit/furrow-error.ts';
import { isProof, parseProof, type ProofReport } from '../kit/proof-report.ts';
import type { Job } from '../proto/gen/furrow/v1/job_service.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { jobWithFiles } from './fetch-outputs.ts';
import type { JobProof } from './report.ts';
import { readOutput } from './small-output.ts';

/** A folder's job has one for each film. */
const READ_AT_ONCE = 8;

/**
 * All proofs of a job, or the one that is named. FurrowError: failed-precondition NO_PROOF; data-loss
 * PROOF_UNREADABLE; those of jobWithFiles and of readOutput.
 */
export async function showProofs(
  jobId: string,
  name: string | undefined,
  context: CommandContext,
): Promise<CommandResult> {
  const job = await jobWithFiles(jobId, context);
  const files = chosen(job, name);
  const proofs: JobProof[] = [];
  for (let from = 0; from < files.length; from += READ_AT_ONCE) {
    const next = files.slice(from, from + READ_AT_ONCE).map(async (file): Promise<JobProof> => {
      return { name: file.name, report: await readProof(job.id, file, context) };
    });
    proofs.push(...(await Promise.all(next)));
  }
  const exitCode = proofs.every(({ report }) => report.ok) ? EXIT.ok : EXIT.jobFailed;
  return { report: { kind: 'proofs', jobId: job.id, proofs }, exitCode };
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

async function readProof(jobId: string, file: File, context: CommandContext): Promise<ProofReport> {
  const report = parseProof(await readOutput(jobId, file, context));
  if (report !== undefined) return report;
  const message = `${file.name} of ${jobId} is no proof that this version reads: update furrow, or fetch the file`;
  throw new FurrowError('data-loss', 'PROOF_UNREADABLE', message);
}

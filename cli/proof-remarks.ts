/** What people should know of files that are proven and still not all that their source was, at a job's end. */
import { isProof, parseProof, type ProofReport } from '../kit/proof-report.ts';
import type { Job } from '../proto/gen/furrow/v1/job_service.ts';
import type { CommandContext } from './command.ts';
import { printable } from './output/text-width.ts';
import { readOutput } from './small-output.ts';

/** A folder's job has one for each film, and a table that says more. */
const MOST_PROOFS = 4;

/** Says nothing where proofs cannot be read: whoever asks for one hears why. */
export async function tellRemarks(job: Job, context: CommandContext): Promise<void> {
  const { out } = context;
  const proofs = job.outputs.filter(({ name }) => isProof(name));
  if (out.json || out.quiet || proofs.length > MOST_PROOFS) return;
  for (const proof of proofs) {
    const text = await readOutput(job.id, proof, context).catch(() => undefined);
    const report = text === undefined ? undefined : parseProof(text);
    if (report === undefined) continue;
    const file = report.files[0]?.name ?? proof.name;
    for (const remark of remarksIn(report)) out.note(printable(`note on ${file}: ${remark}`));
  }
}

function remarksIn({ facts }: ProofReport): readonly string[] {
  const { sourceDamage, remarks } = facts;
  const others = typeof remarks === 'object' ? Object.values(remarks) : [];
  const damage =
    typeof sourceDamage === 'string'
      ? [`the source is damaged, and its decoder made pictures up (${sourceDamage}): look at them`]
      : [];
  return [...damage, ...others.filter((remark) => typeof remark === 'string')];
}

/**
 * Makes a grant fit into one message of NATS. What its units have in common may be tens of thousands of
 * inputs: such a list goes as a blob. Leases that still do not fit are left for another grant.
 */
import { Grant, Lease, StepShare } from '../../proto/gen/furrow/work/v1/work.ts';
import type { Token } from '../../proto/gen/furrow/v1/agent_service.ts';
import type { File } from '../../proto/gen/furrow/v1/step.ts';

export interface FittedGrant {
  readonly bytes: Uint8Array;
  /** Of leases that the message does not carry. */
  readonly left: readonly Token[];
}

/** Shorter lists stay in the message: a blob costs the agent a round trip. */
const LISTED_INPUTS = 256;
/** Tag and length around a part of a message, at most. */
const FRAME_BYTES = 6;

/** `storeList` makes a blob of a list of files. Rejects as it does. */
export async function fitGrant(
  grant: Grant,
  maxBytes: number,
  storeList: (files: readonly File[]) => Promise<File>,
): Promise<FittedGrant> {
  const whole = Grant.encode(grant).finish();
  if (whole.length <= maxBytes) return { bytes: whole, left: [] };
  const steps: StepShare[] = [];
  for (const share of grant.steps) {
    if (share.inputs.length < LISTED_INPUTS) steps.push(share);
    else steps.push({ ...share, inputs: [], inputList: await storeList(share.inputs) });
  }
  return firstThatFit({ ...grant, steps }, maxBytes);
}

function firstThatFit(grant: Grant, maxBytes: number): FittedGrant {
  const left: Token[] = [];
  const steps: StepShare[] = [];
  let room = maxBytes - Grant.encode({ ...grant, steps: [] }).finish().length;
  for (const share of grant.steps) {
    const shared = StepShare.encode({ ...share, leases: [] }).finish().length + FRAME_BYTES;
    if (shared > room) {
      left.push(...tokensOf(share));
      continue;
    }
    const leases: Lease[] = [];
    let used = shared;
    for (const lease of share.leases) {
      const bytes = Lease.encode(lease).finish().length + FRAME_BYTES;
      if (used + bytes <= room) {
        leases.push(lease);
        used += bytes;
      } else if (lease.token !== undefined) left.push(lease.token);
    }
    if (leases.length === 0 && share.runs.length === 0) continue;
    steps.push({ ...share, leases });
    room -= used;
  }
  return { bytes: Grant.encode({ ...grant, steps }).finish(), left };
}

function tokensOf({ leases, runs }: StepShare): Token[] {
  const single = leases.flatMap(({ token }) => token ?? []);
  const inRuns = runs.flatMap(({ firstToken, count }) =>
    firstToken === undefined
      ? []
      : Array.from({ length: count }, (_, offset) => {
          return { epoch: firstToken.epoch, counter: firstToken.counter + offset };
        }),
  );
  return [...single, ...inRuns];
}

/** Checkpoints of running units: what an agent stored becomes a command, and is answered after its commit. */
import type { Msg, Subscription } from 'nats';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { Checkpoint, CheckpointReply, Verdict } from '../../proto/gen/furrow/work/v1/work.ts';
import { CHECKPOINT_SUBJECTS } from '../../proto/subjects.ts';
import type { Answer } from '../domain/commands.ts';
import { jobNumberOf } from '../domain/farm.ts';
import { sightingFromWire, tokenFromWire, verdictKindToWire } from '../grpc/wire.ts';
import type { WorkPlaneOptions } from './nats-work-plane.ts';

export type CheckpointOptions = Pick<
  WorkPlaneOptions,
  'nats' | 'log' | 'farm' | 'loop' | 'hear' | 'findMissing'
>;

export function subscribeCheckpoints(options: CheckpointOptions): Subscription {
  return options.nats.subscribe(CHECKPOINT_SUBJECTS, {
    callback: (_error, message) => void takeCheckpoint(options, message),
  });
}

async function takeCheckpoint(options: CheckpointOptions, message: Msg): Promise<void> {
  const { farm, log } = options;
  try {
    const checkpoint = Checkpoint.decode(message.data);
    const { agentId } = checkpoint;
    if (message.subject.split('.')[2] !== agentId) {
      throw new FurrowError('forbidden', 'SENDER_MISMATCH', 'the checkpoint is of another agent');
    }
    const answer = await decideOn(options, checkpoint);
    const { farmId, epoch } = farm;
    message.respond(CheckpointReply.encode({ farmId, epoch, ...replyOf(answer) }).finish());
  } catch (error) {
    // No answer: the agent offers it, or a newer one, again.
    log.warn({ subject: message.subject, error: messageOf(error) }, 'checkpoint without an answer');
  }
}

async function decideOn(options: CheckpointOptions, checkpoint: Checkpoint): Promise<Answer> {
  const { farm, loop, hear, findMissing } = options;
  const { agentId, token, jobId, step, unit, files, seen } = checkpoint;
  await hear(sightingFromWire(seen, farm.farmId), `agent ${agentId}`);
  const hashes = files.map(({ sha256 }) => sha256);
  return loop.submit({
    type: 'SaveCheckpoint',
    agentId,
    token: tokenFromWire(token),
    job: jobNumberOf(jobId) ?? 0,
    step,
    unit,
    files,
    missingBlobs: hashes.length === 0 ? [] : await findMissing(hashes),
  });
}

function replyOf(answer: Answer): Pick<CheckpointReply, 'verdict' | 'fault'> {
  if (answer.kind === 'refused') {
    return { verdict: Verdict.VERDICT_NOTED, fault: answer.message };
  }
  const [verdict = { kind: 'none' } as const] = answer.kind === 'verdicts' ? answer.verdicts : [];
  return { verdict: verdictKindToWire(verdict), fault: '' };
}

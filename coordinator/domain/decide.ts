/**
 * The one place where it is decided what happens: a command, the farm and what is known of the agents
 * go in, facts come out. Changes nothing but the tick's note of when to look where again.
 */
import { agentNamed, decideAgentPolicy, unknownAgent } from './agent-policy.ts';
import { decideArchiving, decideRemoval } from './decide-archive.ts';
import { decideCheckpoint } from './checkpoints.ts';
import {
  decideCreateToken,
  decideJoin,
  decideRevokeAgent,
  decideRevokeToken,
  decideUseTokens,
} from './decide-credentials.ts';
import type { Command, DrainAgent, EnrolAgent } from './commands.ts';
import { decideSteering, decideSubmit } from './decide-job.ts';
import { decideReview, decideTick } from './decide-lease.ts';
import { decideResults } from './decide-result.ts';
import { decideAddModel, decideRemoveModel } from './decide-models.ts';
import { decideOwner, decideTickets } from './decide-sharing.ts';
import { decideGrantAnswer } from './decide-grant.ts';
import { decideQuota } from './quotas.ts';
import { decided, type Decision, type Now, refused, unchanged } from './decision.ts';
import type { Farm } from './farm.ts';
import { faultOfMachine } from './beats.ts';
import type { Liveness } from './liveness.ts';
import { faultOfVersion } from './version-skew.ts';

export function decide(farm: Farm, liveness: Liveness, command: Command, now: Now): Decision {
  switch (command.type) {
    case 'SubmitJob':
      return decideSubmit(farm, liveness, command, now);
    case 'CancelJob':
    case 'RetryJob':
    case 'PauseJob':
    case 'ResumeJob':
      return decideSteering(farm, liveness, command, now);
    case 'EnrolAgent':
      return decideEnrol(farm, liveness, command, now);
    case 'DrainAgent':
      return decideDrain(farm, command, now);
    case 'SetTickets':
      return decideTickets(farm, command, now);
    case 'SetOwner':
      return decideOwner(farm, command, now);
    case 'SetQuota':
      return decideQuota(farm, command, now);
    case 'SetAgentPolicy':
      return decideAgentPolicy(farm, command, now);
    case 'CreateToken':
      return decideCreateToken(farm, command, now);
    case 'RevokeToken':
      return decideRevokeToken(farm, command, now);
    case 'UseTokens':
      return decideUseTokens(farm, command);
    case 'JoinAgent':
      return decideJoin(farm, command, now);
    case 'RevokeAgent':
      return decideRevokeAgent(farm, command, now);
    case 'ReviewAgent':
      return decideReview(farm, liveness, command.agentId, now);
    case 'StreamClosed':
      return decided([]);
    case 'GrantAnswered':
      return decideGrantAnswer(farm, command, now);
    case 'ReportResults':
      return decideResults(farm, liveness, command, now);
    case 'SaveCheckpoint':
      return decideCheckpoint(farm, command, now);
    case 'SnapshotStored': {
      const { sequence, hash, sizeBytes } = command;
      return decided([{ type: 'SnapshotTaken', sequence, hash, sizeBytes }]);
    }
    case 'ArchiveJobs':
      return decideArchiving(farm, command, now);
    case 'RemoveJob':
      return decideRemoval(farm, command, now);
    case 'AddModel':
      return decideAddModel(farm, command, now);
    case 'RemoveModel':
      return decideRemoveModel(farm, command, now);
    case 'Tick':
      return decideTick(farm, liveness, now);
  }
}

function decideEnrol(farm: Farm, liveness: Liveness, command: EnrolAgent, now: Now): Decision {
  const { agentId, name, version, machineFingerprint } = command;
  const fault = faultOfMachine(liveness, agentId, machineFingerprint, now.monotonicMs);
  if (fault !== undefined) {
    return refused('conflict', 'AGENT_ID_IN_USE', fault);
  }
  const skew = faultOfVersion({ name, version }, command.coordinatorVersion);
  if (skew !== undefined) return refused('failed-precondition', 'AGENT_VERSION', skew);
  const known = farm.agents.get(agentId);
  if (known?.name === name && known.version === version) return decided([]);
  return decided([{ type: 'AgentEnrolled', agentId, name, version, atMs: now.wallMs }]);
}

function decideDrain(farm: Farm, command: DrainAgent, now: Now): Decision {
  const found = agentNamed(farm, command.agent);
  if (found === undefined) return unknownAgent(command.agent);
  if (found.draining === command.draining) return unchanged();
  const { draining } = command;
  const { id: agentId } = found;
  const fact = { type: 'AgentDrainChanged', agentId, draining, atMs: now.wallMs } as const;
  // Every order says whether the agent drains: it need not wait for its next beat to hear of it.
  return { ...decided([fact]), stops: [{ agentId, tokens: [] }] };
}

/**
 * When an agent works, and with how much of itself, as a person set it. The farm keeps it and tells the
 * agent; what it means is the agent's business, which knows its machine, its clock and its owner.
 */
import type { AgentPolicySet } from './facts.ts';
import type { SetAgentPolicy } from './commands.ts';
import { decided, type Decision, type Now, refused, unchanged } from './decision.ts';
import type { AgentRecord, Farm } from './farm.ts';

export interface AgentPolicy {
  readonly mode: 'always' | 'idle' | 'never';
  readonly onBusy: 'finish' | 'evict';
  readonly graceMs: number;
  readonly idleAfterMs: number;
  readonly maxLoadPercent: number;
  readonly maxGpuPercent: number;
  /** None: at any hour. */
  readonly hours: readonly WeeklyWindow[];
  /** An IANA name; empty: as the machine is set. */
  readonly timeZone: string;
  /** 0 for all. */
  readonly maxCpuMillis: number;
  /** 0 for as many as fit. */
  readonly maxUnits: number;
  readonly maxVramPercent: number;
  /** 0 for no limit. */
  readonly maxBytesPerSecond: number;
  /** Unix time; 0 when not paused. */
  readonly pausedUntilMs: number;
}

interface WeeklyWindow {
  /** 0 is Monday. */
  readonly days: readonly number[];
  readonly startMinute: number;
  readonly endMinute: number;
}

export function decideAgentPolicy(farm: Farm, command: SetAgentPolicy, now: Now): Decision {
  const record = agentNamed(farm, command.agent);
  if (record === undefined) return unknownAgent(command.agent);
  const { policy } = command;
  if (JSON.stringify(record.policy) === JSON.stringify(policy)) return unchanged();
  const fact: AgentPolicySet = {
    type: 'AgentPolicySet',
    agentId: record.id,
    policy,
    atMs: now.wallMs,
  };
  return decided([fact]);
}

/** By its id or, failing that, by its name. */
export function agentNamed(farm: Farm, name: string): AgentRecord | undefined {
  return farm.agents.get(name) ?? [...farm.agents.values()].find((agent) => agent.name === name);
}

export function unknownAgent(name: string): Decision {
  const message = `no agent is called ${JSON.stringify(name)}: see furrow agents`;
  return refused('not-found', 'AGENT_UNKNOWN', message);
}

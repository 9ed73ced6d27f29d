/** An agent's way into its farm: it joins where it has not, and enrols with the key that it got. */
import type {
  EnrolAgentRequest,
  EnrolAgentResponse,
} from '../proto/gen/furrow/v1/agent_service.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { AgentConfig } from './config.ts';
import { joinFarm } from './join-farm.ts';
import type { Joined } from './joined.ts';
import { Session, type SessionOptions } from './session.ts';

export interface EnterOptions extends Omit<SessionOptions, 'key' | 'random'> {
  readonly config: AgentConfig;
}

export interface Entered {
  readonly session: Session;
  readonly enrolment: EnrolAgentResponse;
  readonly joined: Joined;
}

/**
 * Joins first where it has not, or where the farm knows nothing of it any more. Waits for a coordinator that is
 * away, until the signal. FurrowError when the farm refuses it, or when it has nothing to join with.
 */
export async function enterFarm(
  { config, ...options }: EnterOptions,
  signal: AbortSignal,
): Promise<Entered> {
  const join = (): Promise<Joined> => joinAs(options.identity, config, options.log, signal);
  let joined = config.joined ?? (await join());
  for (let isFirst = true; ; isFirst = false) {
    const session = new Session({ ...options, key: joined.key, random: Math.random });
    try {
      return { session, joined, enrolment: await session.enrol(signal) };
    } catch (error) {
      const isForgotten = error instanceof FurrowError && error.reason === 'AGENT_NOT_JOINED';
      if (!isForgotten || !isFirst || config.token === undefined) throw error;
      joined = await join();
    }
  }
}

function joinAs(
  { agentId, name }: EnrolAgentRequest,
  { farm, trust, token, stateDirectory }: AgentConfig,
  log: Logger,
  signal: AbortSignal,
): Promise<Joined> {
  if (token === undefined) {
    const message = `this agent has not joined the farm at ${farm}: join it with furrow join, by the line that furrow agent invite prints there`;
    throw new FurrowError('unauthenticated', 'NOT_JOINED', message);
  }
  const who = { agentId, name, stateDirectory, log };
  return joinFarm({ farm, trust, token, isPatient: true, ...who }, signal);
}

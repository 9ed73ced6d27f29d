/** Gets an agent a key of its own, for the token of whoever invited it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { nkeys } from 'nats';
import {
  AgentServiceClient,
  type JoinAgentResponse,
} from '../proto/gen/furrow/v1/agent_service.ts';
import { channelCredentialsFor } from '../kit/channel-trust.ts';
import { CoordinatorChannel } from '../kit/coordinator-channel.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { Trust } from '../kit/trust.ts';
import { type Joined, writeJoined } from './joined.ts';
import { CHANNEL_OPTIONS, furrowErrorOf } from './session.ts';

export interface JoinOptions {
  /** HOST:PORT; of several coordinators, with commas between. */
  readonly farm: string;
  readonly trust: Trust;
  readonly token: string;
  readonly agentId: string;
  readonly name: string;
  readonly stateDirectory: string;
  /** False: a farm that is away is an error. */
  readonly isPatient: boolean;
  readonly log: Logger;
}

const CALL_DEADLINE_MS = 5_000;
const PAUSE_MS = 1_000;

/**
 * A coordinator that is away is waited for until the signal. FurrowError when it refuses: unauthenticated,
 * forbidden, conflict AGENT_JOINED, invalid; and unavailable where it is not waited for.
 */
export async function joinFarm(options: JoinOptions, signal: AbortSignal): Promise<Joined> {
  const { farm, trust, stateDirectory, log } = options;
  const pair = nkeys.createUser();
  const natsSeed = new TextDecoder().decode(pair.getSeed());
  const channel = new CoordinatorChannel(farm, trust, CHANNEL_OPTIONS);
  const client = new AgentServiceClient(farm, channelCredentialsFor(trust), {
    channelOverride: channel,
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      const { address } = channel;
      try {
        const { farmId, key, addresses } = await ask(client, options, pair.getPublicKey());
        // As it was told to come: the farm may know its own address only from within.
        const joined = {
          farmId,
          key,
          natsSeed,
          trust,
          farm: [...new Set([...farm.split(','), ...addresses])].join(','),
        };
        await writeJoined(stateDirectory, joined);
        log.info({ farmId }, 'joined');
        return joined;
      } catch (error) {
        if (!(error instanceof FurrowError) || !error.retryable) throw error;
        if (!options.isPatient && channel.failed(error, address) !== 'now') throw error;
        if (!options.isPatient) continue;
        log.warn({ error: error.message }, 'cannot join; trying again');
        if (channel.failed(error, address) === 'now') continue;
      }
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    channel.close();
  }
}

function ask(
  client: AgentServiceClient,
  { agentId, name, token }: JoinOptions,
  natsPublicKey: string,
): Promise<JoinAgentResponse> {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  const deadline = Date.now() + CALL_DEADLINE_MS;
  return new Promise((resolve, reject) => {
    const request = { agentId, name, natsPublicKey };
    client.joinAgent(request, metadata, { deadline }, (error: ServiceError | null, response) =>
      error === null ? resolve(response) : reject(furrowErrorOf(error)),
    );
  });
}

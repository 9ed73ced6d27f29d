/** A farm whose one agent takes nothing that it is given: seen, said, and all that can be tried is tried. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { VERSION } from '../../kit/version.ts';
import { channelCredentialsFor, channelOptionsFor } from '../../kit/channel-trust.ts';
import { expect, onTestFinished, test } from 'vitest';
import {
  AgentServiceClient,
  type AdvertiseRequest,
} from '../../proto/gen/furrow/v1/agent_service.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';
import { commandStep, submitSteps } from '../support/farm-jobs.ts';

const BEAT_MS = 500;

/**
 * An agent that beats, offers four cores, and does not listen for grants: NATS tells the coordinator that nobody
 * is there. Counts its streams: when one ends it opens another, as agents do.
 */
function startDeafAgent(farm: TestFarm): { readonly streams: () => number } {
  const [address = ''] = farm.addresses;
  const options = channelOptionsFor(farm.trust, address);
  const client = new AgentServiceClient(address, channelCredentialsFor(farm.trust), options);
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${farm.nats.token}`);
  const identity = { agentId: 'deaf-1', machineFingerprint: 'deaf' };
  let streams = 0;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const open = (): void => {
    if (isOver) return;
    client.enrolAgent({ ...identity, name: 'deaf', version: VERSION }, metadata, (error) => {
      if (error !== null) return;
      streams += 1;
      const stream = client.advertise(metadata);
      let beat = 0;
      timer = setInterval(() => stream.write(deafBeat((beat += 1))), BEAT_MS);
      stream.on('data', () => {});
      stream.on('error', () => {});
      stream.on('end', () => {
        clearInterval(timer);
        open();
      });
    });
  };
  const deafBeat = (beat: number): AdvertiseRequest => ({
    ...identity,
    name: 'deaf',
    session: 'deaf-session',
    beat: streams * 1_000_000 + beat,
    capacity: {
      cpuMillis: 4_000,
      ramTotalBytes: 2 ** 34,
      ramAvailableBytes: 2 ** 34,
      scratchFreeBytes: 2 ** 34,
      scratchTotalBytes: 2 ** 34,
      gpus: [],
      otherGpus: [],
      faults: [],
      attributes: ['tool:command'],
      toolchain: {},
      encoderSessions: 0,
      maxUnits: 0,
      maxWaiting: undefined,
    },
    inventory: [],
    grantsHandled: 0,
    workPlaneUp: true,
    leaving: false,
    sessionStartedAtMs: undefined,
  });
  open();
  onTestFinished(() => {
    isOver = true;
    clearInterval(timer);
    client.close();
  });
  return { streams: () => streams };
}

test('an agent that takes nothing: warned of within a minute, all is offered again, the agent asked anew', async () => {
  const farm = await startFarm();
  const deaf = startDeafAgent(farm);
  await farm.agentsOnline('deaf');
  const jobId = await submitSteps(farm, commandStep('work', ['true']));
  const { client } = farm;
  const warning = await until('the farm warns', async () => {
    const { warnings } = await client.call(client.farm.getStatus.bind(client.farm), {});
    return warnings.find((text) => text.includes('nothing runs'));
  });
  expect(warning).toMatch(
    new RegExp(
      `^1 unit waits and nothing runs, for \\d+ s now: ${jobId}/work/0 waits: .*; see furrow explain ${jobId}$`,
    ),
  );
  await until('its stream is ended, and it is back', () => deaf.streams() === 2);
  const log = readFileSync(join(farm.home, '..', 'log', 'coordinator.log'), 'utf8');
  const told = [
    'the farm stands still',
    'everything is offered again',
    'agents are asked anew what they have',
  ];
  expect(told.map((text) => log.split(`"${text}"`).length - 1)).toEqual([1, 1, 1]);

  // One that listens, and the farm goes on by itself.
  await farm.furrow('drain', 'deaf');
  await farm.addAgents({ den: ['--cpus', '1'] });
  await until('the unit runs', async () => {
    const { stdout } = await farm.furrow('explain', jobId);
    return stdout.includes('has succeeded');
  });
  await until('the warning is gone', async () => {
    const { warnings } = await client.call(client.farm.getStatus.bind(client.farm), {});
    return !warnings.some((text) => text.includes('nothing runs'));
  });
});

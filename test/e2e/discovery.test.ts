/** An agent that was told no address finds its farm on the network, and calls no other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { announceFarm } from '../../kit/farm-discovery.ts';
import { AgentState } from '../../proto/gen/furrow/v1/farm_service.ts';
import { startFarm, type TestFarm, until } from '../support/farm.ts';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
/** Multicast that stays on this machine, beside the port of those who mean it. */
const NETWORK = { port: 30_000 + (process.pid % 10_000), interface: '127.0.0.1' };
const OTHER_TOKEN = 'x'.repeat(43);

function announcedFarm(): Promise<TestFarm> {
  return startFarm({
    coordinatorEnvironment: {
      FURROW_ANNOUNCE: 'true',
      FURROW_MDNS_INTERFACE: NETWORK.interface,
      FURROW_MDNS_PORT: String(NETWORK.port),
    },
  });
}

function announce(farmId: string, address: string, token: string): void {
  onTestFinished(announceFarm({ farmId, address, caSha256: '' }, token, NETWORK, () => undefined));
}

/** An agent with the farm's token in a home of its own, and no word of where the farm is. */
function startLostAgent(farm: TestFarm) {
  const home = join(farm.workDir, 'elsewhere');
  mkdirSync(home, { mode: 0o700 });
  writeFileSync(join(home, 'token'), farm.nats.token, { mode: 0o600 });
  const argv = ['agent', '--home', home, '--name', 'lost', '--mdns-port', String(NETWORK.port)];
  argv.push('--mdns-interface', NETWORK.interface);
  const child = spawn(process.execPath, [MAIN, ...argv], {
    env: { PATH: process.env['PATH'] },
    stdio: 'pipe',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  }
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, said: () => said };
}

test('an agent with the token and nothing else joins its farm, and shows a stranger nothing', async () => {
  const farm = await announcedFarm();
  let calls = 0;
  const stranger = createServer((socket) => {
    calls += 1;
    socket.destroy();
  });
  stranger.listen(0, '127.0.0.1');
  await once(stranger, 'listening');
  onTestFinished(() => void stranger.close());
  const { port } = stranger.address() as { port: number };
  announce('stranger', `127.0.0.1:${port}`, OTHER_TOKEN);

  const agent = startLostAgent(farm);
  await until('it is online', async () => {
    const { client } = farm;
    const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
    return agents.some(({ name, state }) => {
      return name === 'lost' && state === AgentState.AGENT_STATE_ONLINE;
    });
  });
  expect(agent.said()).toContain(`"farm":"${farm.addresses[0]}"`);
  expect(calls).toBe(0);
});

test('of several farms with its token an agent takes none: one line lists them', async () => {
  const farm = await announcedFarm();
  announce('second', '192.168.77.7:7400', farm.nats.token);
  const agent = startLostAgent(farm);
  const [code] = await once(agent.child, 'exit');
  expect(code).toBe(7);
  const last = agent.said().trim().split('\n').at(-1);
  expect(last).toMatch(
    /^furrow agent: 2 farms on this network have this token, at .*: name one with --farm HOST:PORT$/,
  );
  expect(last).toContain('192.168.77.7:7400');
  expect(last).toContain(farm.addresses[0]);
});

/** Strangers at the private nats-server's port: they take so much and no more, and none of the farm's own is harmed. */
import { type Socket, connect as dial } from 'node:net';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createUser } from '@nats-io/jwt';
import { expect, onTestFinished, test } from 'vitest';
import { natsIdentity } from '../../cli/up/nats-identity.ts';
import { startNatsServer } from '../../cli/up/nats-server.ts';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { openNatsAccess } from '../../coordinator/work/nats-access.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { createLog } from '../../kit/log.ts';
import { connectNats, type NatsConnection } from '../../kit/nats-connection.ts';
import { agentInboxPrefix, resultSubject } from '../../proto/subjects.ts';
import { until } from '../support/farm.ts';
import { natsServerOf, NATS_VERSIONS, type NatsVersion } from '../support/nats-server.ts';

const log = createLog({ role: 'test', level: 'silent' });
const MOST = 150;
const STRANGERS = 600;

async function startNats(version: NatsVersion) {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-flood-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const home = furrowHome(join(folder, 'home'), {});
  const server = await startNatsServer({
    ...(await natsIdentity(home, ['127.0.0.1'])),
    binary: await natsServerOf(version),
    directory: join(folder, 'nats'),
    monitorSecret: 'secret',
    port: 0,
    monitorPort: 0,
    maxFileStoreBytes: undefined,
    maxConnections: MOST,
    log,
  });
  onTestFinished(() => server.stop(0));
  const flags = ['--home', home.root, '--nats', `tls://127.0.0.1:${server.port}`, '--nats-private'];
  const access = await openNatsAccess(readCoordinatorConfig(flags, {}), 'unused', log);
  const servers = [`tls://127.0.0.1:${server.port}`];
  const { auth, trust } = access;
  const coordinator = await connectNats({ servers, auth, trust, name: 'coordinator' });
  onTestFinished(() => coordinator.close());
  coordinator.subscribe(resultSubject('*'), { callback: (_, message) => void message.respond() });
  await coordinator.flush();
  const connectAgent = async (agentId: string): Promise<NatsConnection> => {
    const pair = createUser();
    const { natsJwt } = await access.forAgent(agentId, pair.getPublicKey());
    const seed = new TextDecoder().decode(pair.getSeed());
    const credentials = { kind: 'jwt', jwt: () => natsJwt, seed } as const;
    const inboxPrefix = agentInboxPrefix(agentId);
    const nats = await connectNats({
      servers,
      auth: credentials,
      trust,
      inboxPrefix,
      name: agentId,
    });
    onTestFinished(() => nats.close());
    return nats;
  };
  /** Of all, strangers too. */
  const connections = async (): Promise<number> => {
    const answer = await fetch(`${server.monitorUrl}/varz`);
    return ((await answer.json()) as { connections: number }).connections;
  };
  return { port: server.port, connectAgent, connections };
}

/** They come in and say nothing. */
function strangersAt(port: number): readonly Socket[] {
  const sockets = Array.from({ length: STRANGERS }, () => dial(port, '127.0.0.1'));
  for (const socket of sockets) {
    socket.on('error', () => undefined);
    // Reads what it is told, or it would not hear that it was cut off.
    socket.resume();
  }
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  return sockets;
}

test.each(NATS_VERSIONS)(
  'nats %s: strangers who say nothing are bounded and cut off; agents go on, and newcomers get in',
  async (version) => {
    const { port, connectAgent, connections } = await startNats(version);
    const ask = (agent: NatsConnection, agentId: string) =>
      agent.request(resultSubject(agentId), '', { timeout: 30_000 });
    const agent = await connectAgent('den-1');
    const statuses: string[] = [];
    void (async () => {
      for await (const { type } of agent.status()) statuses.push(type);
    })();
    const strangers = strangersAt(port);
    const gone = Promise.all(strangers.map((socket) => once(socket, 'close')));
    const full = await until('the house is full', async () => {
      const count = await connections();
      return count >= MOST && count;
    });
    expect(full).toBe(MOST);
    await ask(agent, 'den-1');
    // It waits until strangers have been shown the door, and needs nobody's help.
    const late = await connectAgent('den-2');
    await ask(late, 'den-2');
    await gone;
    await until('nobody is left but the farm', async () => (await connections()) === 3);
    await ask(agent, 'den-1');
    expect(statuses).not.toContain('disconnect');
  },
);

/** A certificate of somebody's own instead of the farm's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pino } from 'pino';
import { FarmClient } from '../../cli/client.ts';
import { blobTarget } from '../../cli/blobs.ts';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { startCoordinator } from '../../coordinator/coordinator.ts';
import { ensureFarmCa, ensureServerIdentity } from '../../kit/farm-ca.ts';
import { furrowHome, readFarmFile } from '../../kit/furrow-home.ts';
import { sendRequest } from '../../kit/http-request.ts';
import { writePrivateFile } from '../../kit/private-file.ts';
import { ensureToken } from '../../kit/token-file.ts';
import { startTestNats } from '../support/nats-server.ts';

test('is shown to clients, who check its host and its authority', async () => {
  const root = await mkdtemp(join(tmpdir(), 'furrow-own-'));
  const nats = await startTestNats();
  const [home, studio] = [furrowHome(join(root, 'home'), {}), join(root, 'studio')];
  const ca = await ensureFarmCa(studio);
  await ensureServerIdentity(studio, ca, ['127.0.0.1']);
  const pem = join(studio, 'server.pem');
  await writePrivateFile(home.tokenFile, `${nats.token}\n`);
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const own = ['--tls-cert', pem, '--tls-key', pem, '--tls-ca', join(studio, 'ca.pem')];
  const argv = ['--home', home.root, '--nats', nats.url, ...ports, ...own];
  const coordinator = await startCoordinator(
    readCoordinatorConfig(argv, {}),
    pino({ level: 'silent' }),
  );
  onTestFinished(async () => {
    await coordinator.close();
    await nats.close();
    await rm(root, { recursive: true, force: true });
  });
  const { grpc, trust } = (await readFarmFile(home.farmFile))!;
  expect(trust).toEqual({ state: 'tls', ca: ca.certificate });
  const token = await ensureToken(home.tokenFile);
  const { signal } = new AbortController();
  const client = new FarmClient({ address: grpc, trust, token }, signal);
  onTestFinished(() => client.close());
  const { tokens } = await client.call(client.farm.listTokens.bind(client.farm), {});
  expect(tokens).toEqual([]);
  const target = await blobTarget(client);
  const answer = await sendRequest(target, { method: 'GET', path: '/healthz' });
  expect(answer.statusCode).toBe(200);
  answer.resume();
  // Another authority is not believed, whatever name it signs.
  const other = await ensureFarmCa(join(root, 'other'));
  const wary = { state: 'tls', ca: other.certificate } as const;
  const stranger = new FarmClient({ address: grpc, trust: wary, token }, signal);
  onTestFinished(() => stranger.close());
  await expect(
    stranger.call(stranger.farm.listTokens.bind(stranger.farm), {}),
  ).rejects.toMatchObject({ reason: 'FARM_NOT_TRUSTED' });
});

/**
 * A NATS server of somebody else's: the coordinator has a credentials file and a signing key of the account, and
 * agents get credentials of their own, signed with it.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
} from '@nats-io/jwt';
import { connect } from 'nats';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { readCoordinatorConfig } from '../../coordinator/config.ts';
import { openNatsAccess } from '../../coordinator/work/nats-access.ts';
import { clusterConfig } from '../../cli/up/nats-identity.ts';
import { ensureFarmCa, ensureServerIdentity } from '../../kit/farm-ca.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { natsAuthOptions } from '../../kit/nats-auth.ts';
import { until } from '../support/farm.ts';
import { natsServerOf } from '../support/nats-server.ts';

const UNLIMITED = -1;
const silent = pino({ level: 'silent' });
const seedOf = (pair: { getSeed(): Uint8Array }): string =>
  new TextDecoder().decode(pair.getSeed());

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A server as its owner would set it up, and what that owner hands to the coordinator. */
async function foreignNats(): Promise<{ folder: string; flags: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-foreign-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [operator, system, account, signer, user] = [
    createOperator(),
    createAccount(),
    createAccount(),
    createAccount(),
    createUser(),
  ];
  const limits = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, conn: UNLIMITED };
  const stores = { mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED };
  const accountJwt = await encodeAccount(
    'studio',
    account,
    {
      limits: { ...limits, ...stores, consumer: UNLIMITED, imports: UNLIMITED, exports: UNLIMITED },
      signing_keys: [signer.getPublicKey()],
    },
    { signer: operator },
  );
  const systemJwt = await encodeAccount('system', system, {}, { signer: operator });
  const creds = fmtCreds(await encodeUser('coordinator', user, account), user);
  const ca = await ensureFarmCa(folder);
  await ensureServerIdentity(folder, ca, ['127.0.0.1']);
  const port = await freePort();
  const pem = JSON.stringify(join(folder, 'server.pem'));
  const config = [
    `listen: "127.0.0.1:${port}"`,
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`,
    `tls { cert_file: ${pem}, key_file: ${pem} }`,
    `operator: ${await encodeOperator('studio', operator)}`,
    'resolver: MEMORY',
    `system_account: ${system.getPublicKey()}`,
    'resolver_preload {',
    `  ${system.getPublicKey()}: ${systemJwt}`,
    `  ${account.getPublicKey()}: ${accountJwt}`,
    '}',
  ];
  await writeFile(join(folder, 'nats.conf'), config.join('\n'));
  await writeFile(join(folder, 'farm.creds'), creds, { mode: 0o600 });
  await writeFile(join(folder, 'signer.nk'), `${seedOf(signer)}\n`, { mode: 0o600 });
  const { path } = await natsServerOf('newest');
  const server = spawn(path, ['-c', join(folder, 'nats.conf')], { stdio: 'ignore' });
  onTestFinished(() => void server.kill('SIGKILL'));
  const url = `tls://127.0.0.1:${port}`;
  const flags = ['--home', folder, '--nats', url, '--nats-ca', join(folder, 'ca.pem')];
  flags.push('--nats-creds', join(folder, 'farm.creds'));
  flags.push('--nats-account-key', join(folder, 'signer.nk'));
  return { folder, flags };
}

test('agents get credentials that the signing key made, for their own subjects', async () => {
  const { flags } = await foreignNats();
  const config = readCoordinatorConfig(flags, {});
  const access = await openNatsAccess(config, 'unused', silent);
  const options = { servers: [...config.nats], reconnect: false };
  const coordinator = await until('the server', () =>
    connect({ ...natsAuthOptions(access.auth, access.trust), ...options }).catch(() => undefined),
  );
  onTestFinished(() => coordinator.close());
  expect(coordinator.info?.jetstream).toBe(true);
  const pair = createUser();
  const told = await access.forAgent('den-1', pair.getPublicKey());
  expect(told).toMatchObject({ natsToken: '', natsCa: expect.stringContaining('CERTIFICATE') });
  const auth = { kind: 'jwt', jwt: () => told.natsJwt, seed: seedOf(pair) } as const;
  const agent = await connect({ ...natsAuthOptions(auth, access.trust), ...options });
  onTestFinished(() => agent.close());
  const granted = new Promise((resolve) => {
    agent.subscribe('furrow.grant.den-1.s1', { callback: (_error, message) => resolve(message) });
  });
  await agent.flush();
  coordinator.publish('furrow.grant.den-1.s1', 'a grant');
  expect(await granted).toBeDefined();
  const denied = new Promise((resolve) => {
    agent.subscribe('furrow.journal', { callback: (error) => resolve(error?.message) });
  });
  expect(await denied).toMatch(/permissions violation/i);
  await expect(access.forAgent('den-2', '')).rejects.toMatchObject({ reason: 'AGENT_NOT_JOINED' });
});

test('what is no credentials file is refused in one line', async () => {
  const { folder, flags } = await foreignNats();
  await writeFile(join(folder, 'farm.creds'), 'nothing', { mode: 0o600 });
  await expect(
    openNatsAccess(readCoordinatorConfig(flags, {}), 'unused', silent),
  ).rejects.toMatchObject({ reason: 'NATS_CREDS_MALFORMED' });
  expect(() => readCoordinatorConfig(['--nats-creds', 'x'], {})).toThrow(
    '--nats-creds and --nats-account-key go together',
  );
});

test('servers of our own, as furrow nats-config says: each agent its credentials, until it is shut out', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-own-nats-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const home = furrowHome(join(folder, 'home'), {});
  const accounts = join(folder, 'accounts');
  const port = await freePort();
  const config = [
    `listen: "127.0.0.1:${port}"`,
    `jetstream { store_dir: ${JSON.stringify(join(folder, 'store'))} }`,
    await clusterConfig(home, { certificate: undefined, accounts }),
  ];
  await writeFile(join(folder, 'nats.conf'), config.join('\n'));
  const { path } = await natsServerOf('newest');
  const server = spawn(path, ['-c', join(folder, 'nats.conf')], { stdio: 'ignore' });
  onTestFinished(() => void server.kill('SIGKILL'));
  const flags = ['--home', home.root, '--nats', `tls://127.0.0.1:${port}`, '--nats-private'];
  const access = await openNatsAccess(readCoordinatorConfig(flags, {}), 'unused', silent);
  const options = { servers: [`tls://127.0.0.1:${port}`], reconnect: false };
  const coordinator = await until('the server', () =>
    connect({ ...natsAuthOptions(access.auth, access.trust), ...options }).catch(() => undefined),
  );
  onTestFinished(() => coordinator.close());
  const pair = createUser();
  const { natsJwt } = await access.forAgent('den-1', pair.getPublicKey());
  const auth = { kind: 'jwt', jwt: () => natsJwt, seed: seedOf(pair) } as const;
  const agent = await connect({ ...natsAuthOptions(auth, access.trust), ...options });
  const closed = agent.closed();
  await access.shutOut(new Map([[pair.getPublicKey(), Date.now()]]));
  await closed;
  await expect(connect({ ...natsAuthOptions(auth, access.trust), ...options })).rejects.toThrow(
    /authorization/i,
  );
  await coordinator.flush();
});

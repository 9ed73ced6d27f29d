/** What the private nats-server shows and whom it lets in; its certificate is renewed while it runs. */
import { join } from 'node:path';
import { ensureFarmCa, ensureServerIdentity } from '../../kit/farm-ca.ts';
import type { FurrowHome } from '../../kit/furrow-home.ts';
import { coordinatorAuth, ensureNatsKeys, natsAccounts } from '../../kit/nats-keys.ts';
import { FARM_SERVER_NAME } from '../../kit/trust.ts';
import { accountLines, limitLines, mostConnections } from './nats-config.ts';
import type { NatsServer, NatsServerOptions } from './nats-server.ts';

/** Nobody renews it. */
const CLUSTER_CERTIFICATE = { file: 'nats-server.pem', days: 10 * 365 };
const LOOK_EVERY_MS = 12 * 60 * 60 * 1000;

/** `hosts`: how it is reached besides by this machine's own names. */
export async function natsIdentity(
  home: FurrowHome,
  hosts: readonly string[],
): Promise<Pick<NatsServerOptions, 'auth' | 'own'>> {
  const { keysDir } = home;
  const keys = await ensureNatsKeys(keysDir);
  const ca = await ensureFarmCa(keysDir);
  await ensureServerIdentity(keysDir, ca, withoutWildcards(hosts));
  // Whoever was shut out is told by the coordinator, which knows.
  const accounts = await natsAccounts(keys, new Map());
  return {
    auth: { kind: 'accounts', accounts, certificateFile: join(keysDir, 'server.pem') },
    own: {
      auth: await coordinatorAuth(keys),
      trust: { state: 'tls', ca: ca.certificate, serverName: FARM_SERVER_NAME },
    },
  };
}

/** For servers that are not ours: what lets this farm in. Makes its keys where there are none. */
export async function clusterConfig(
  { keysDir }: FurrowHome,
  where: { readonly certificate: string | undefined; readonly accounts: string },
): Promise<string> {
  const keys = await ensureNatsKeys(keysDir);
  const ca = await ensureFarmCa(keysDir);
  await ensureServerIdentity(keysDir, ca, [], CLUSTER_CERTIFICATE);
  const accounts = await natsAccounts(keys, new Map());
  const { certificate = join(keysDir, CLUSTER_CERTIFICATE.file), accounts: directory } = where;
  const lines = [
    ...limitLines(mostConnections(undefined)),
    ...accountLines(accounts, certificate, directory),
  ];
  return `${lines.join('\n')}\n`;
}

/** Ends when told. What fails is tried at the next look: the old certificate serves on, for months. */
export function keepCertificate(
  home: FurrowHome,
  hosts: readonly string[],
  server: () => NatsServer | undefined,
): () => void {
  const look = async (): Promise<void> => {
    const ca = await ensureFarmCa(home.keysDir);
    await ensureServerIdentity(home.keysDir, ca, withoutWildcards(hosts));
    server()?.reload();
  };
  const timer = setInterval(() => void look().catch(() => undefined), LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

function withoutWildcards(hosts: readonly string[]): string[] {
  return hosts.filter((host) => host !== '0.0.0.0' && host !== '::');
}

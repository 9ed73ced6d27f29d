/**
 * Whether an acknowledged commit survives a power cut: read from the servers that store it, never
 * assumed. Clients are not told by NATS itself; the servers' monitoring (/varz) tells.
 */
import type { NatsConnection, ServerInfo } from 'nats';
import { z } from 'zod';
import { messageOf } from '../../kit/furrow-error.ts';
import { JOURNAL_STREAM } from '../../proto/subjects.ts';

export interface Durability {
  readonly durable: boolean;
  /** One line for `furrow status`: what was read, or why it is not proven. */
  readonly how: string;
}

const TIMEOUT_MS = 3_000;

const varzSchema = z.object({
  server_id: z.string(),
  server_name: z.string(),
  version: z.string(),
  jetstream: z.object({ config: z.object({ sync_always: z.boolean().optional() }).optional() }),
});
type Varz = z.infer<typeof varzSchema>;

/** Before it only a cluster's leader synced what it acknowledged; the other copies, and votes, did not. */
const SYNCS_REPLICAS = [2, 10, 23] as const;

/**
 * `monitorUrls`: the monitoring of each server, without /varz. Every server that holds a copy of the
 * journal must say that it syncs always; one that is not heard leaves it unproven.
 */
export async function readDurability(
  nats: NatsConnection,
  monitorUrls: readonly string[],
): Promise<Durability> {
  const unproven = (why: string): Durability => ({ durable: false, how: `not proven: ${why}` });
  if (monitorUrls.length === 0) return unproven('no monitoring address of NATS is configured');
  try {
    const manager = await nats.jetstreamManager({ checkAPI: false, timeout: TIMEOUT_MS });
    const { config, cluster } = await manager.streams.info(JOURNAL_STREAM);
    // Since 2.12 a stream may be told to acknowledge first and write later.
    const { persist_mode: persistMode } = config as { persist_mode?: string };
    if (persistMode === 'async') return notDurable(`stream ${JOURNAL_STREAM} is written async`);
    const servers = await Promise.all(monitorUrls.map(readVarz));
    const holders = [cluster?.leader ?? '', ...(cluster?.replicas ?? []).map(({ name }) => name)];
    const names = holders.filter((name) => name !== '');
    const wanted = names.length > 0 ? names : [nats.info?.server_id ?? ''];
    for (const name of wanted) {
      const server = servers.find((varz) => isServer(varz, name, nats.info));
      if (server === undefined) return unproven(`no monitoring address is that of server ${name}`);
      if (server.jetstream.config?.sync_always !== true) {
        return notDurable(`server ${server.server_name} acknowledges before it syncs to disk`);
      }
      if (names.length > 1 && !syncsReplicas(server.version)) {
        const what = `server ${server.server_name} is nats-server ${server.version}`;
        const how = `${what}, which does not sync a cluster's copies: take 2.10.23 or newer`;
        return { durable: false, how };
      }
    }
    return { durable: true, how: 'sync_interval is always, read from the server' };
  } catch (error) {
    return unproven(messageOf(error));
  }
}

/** Whether this version of nats-server, told to sync always, does so with a cluster's log and votes. */
export function syncsReplicas(version: string): boolean {
  const parts = version.split(/[.-]/, 3).map(Number);
  for (const [index, least] of SYNCS_REPLICAS.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** Names are given by people and may be equal; the id of the server that we talk to is known. */
function isServer(varz: Varz, name: string, connected: ServerInfo | undefined): boolean {
  if (name === connected?.server_name || name === connected?.server_id) {
    return varz.server_id === connected.server_id;
  }
  return varz.server_name === name;
}

const notDurable = (why: string): Durability => ({
  durable: false,
  how: `${why}: set sync_interval to always`,
});

async function readVarz(monitorUrl: string): Promise<Varz> {
  // Without the path: it may be a secret.
  const where = `the monitoring of NATS at ${new URL(monitorUrl).host}`;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(`${monitorUrl}/varz`, { signal }).catch(() => undefined);
  if (response === undefined) throw new Error(`${where} does not answer`);
  if (!response.ok) throw new Error(`${where} answers ${response.status}`);
  const parsed = varzSchema.safeParse(await response.json());
  if (!parsed.success) throw new Error(`${where} has no /varz that we understand`);
  return parsed.data;
}

/** What this coordinator's gRPC and HTTP servers show, by what clients know it, and its renewal. */
import { readFile } from 'node:fs/promises';
import {
  ensureFarmCa,
  ensureServerIdentity,
  readPrivate,
  type ServerIdentity,
} from '../kit/farm-ca.ts';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import { FARM_SERVER_NAME, PLAINTEXT, type Trust } from '../kit/trust.ts';
import type { CoordinatorConfig } from './config.ts';

export interface Identity {
  /** Undefined: plain text. */
  readonly server: ServerIdentity | undefined;
  readonly trust: Trust;
}

type Settings = Pick<
  CoordinatorConfig,
  'home' | 'listen' | 'advertise' | 'plaintext' | 'tlsCert' | 'tlsKey' | 'tlsCa'
>;

const LOOK_EVERY_MS = 12 * 60 * 60 * 1000;

/** FurrowError: what `ensureFarmCa` and `readPrivate` throw; invalid TLS_FILE_UNREADABLE. */
export async function serverIdentity(settings: Settings): Promise<Identity> {
  const { plaintext, tlsCert, tlsKey, tlsCa, home, listen, advertise } = settings;
  if (plaintext) return { server: undefined, trust: PLAINTEXT };
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const server = { certificate: await readText(tlsCert), key: await readPrivate(tlsKey) };
    const ca = tlsCa === undefined ? undefined : await readText(tlsCa);
    return { server, trust: { state: 'tls', ...(ca !== undefined && { ca }) } };
  }
  const ca = await ensureFarmCa(home.keysDir);
  const hosts = [listen, advertise ?? listen].filter((host) => host !== '0.0.0.0' && host !== '::');
  const server = await ensureServerIdentity(home.keysDir, ca, hosts);
  return { server, trust: { state: 'tls', ca: ca.certificate, serverName: FARM_SERVER_NAME } };
}

/** Calls `renew` with each certificate that took the place of the one before. Ends when told. */
export function watchServerIdentity(
  settings: Settings,
  known: ServerIdentity,
  log: Logger,
  renew: (identity: ServerIdentity) => void,
): () => void {
  let shown = known;
  const look = async (): Promise<void> => {
    const { server } = await serverIdentity(settings);
    if (server === undefined || server.certificate === shown.certificate) return;
    renew(server);
    shown = server;
    log.info('the certificate was renewed');
  };
  const timer = setInterval(() => {
    // The old one serves on, for months.
    look().catch((error: unknown) =>
      log.error({ error: messageOf(error) }, 'cannot look after the certificate'),
    );
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const message = `cannot read ${path}: ${messageOf(error)}`;
    throw new FurrowError('invalid', 'TLS_FILE_UNREADABLE', message, { cause: error });
  }
}

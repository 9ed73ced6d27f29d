/** Finds a nats-server that can fsync before it acknowledges: 2.10 or newer. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { FurrowError } from '../../kit/furrow-error.ts';

export interface NatsBinary {
  readonly path: string;
  /** Such as 2.10.27. */
  readonly version: string;
}

const MINIMUM = [2, 10] as const;

/**
 * $FURROW_NATS_SERVER, then the first on PATH that is new enough, then .furrow-tools/bin of our own
 * package, where set-up puts it. FurrowError: failed-precondition NATS_SERVER_MISSING or
 * NATS_SERVER_TOO_OLD.
 */
export async function findNatsServer(
  packageRoot: string,
  environment: NodeJS.ProcessEnv,
): Promise<NatsBinary> {
  const chosen = environment['FURROW_NATS_SERVER'] ?? '';
  const candidates = chosen === '' ? search(packageRoot, environment['PATH'] ?? '') : [chosen];
  const tooOld: string[] = [];
  for (const path of candidates) {
    const version = await versionOf(path);
    if (version === undefined) continue;
    if (isNewEnough(version)) return { path, version };
    tooOld.push(`${path} is ${version}`);
  }
  const remedy = 'install nats-server 2.10 or newer, or name one in FURROW_NATS_SERVER';
  if (tooOld.length > 0) {
    const message = `nats-server is too old (${tooOld.join(', ')}): ${remedy}`;
    throw new FurrowError('failed-precondition', 'NATS_SERVER_TOO_OLD', message);
  }
  const where = chosen === '' ? 'no nats-server on PATH' : `${chosen} does not run`;
  throw new FurrowError('failed-precondition', 'NATS_SERVER_MISSING', `${where}: ${remedy}`);
}

function search(packageRoot: string, path: string): readonly string[] {
  const folders = path.split(delimiter).filter((folder) => folder !== '');
  return [...folders, join(packageRoot, '.furrow-tools', 'bin')].map((folder) =>
    join(folder, 'nats-server'),
  );
}

async function versionOf(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: 10_000 });
    return /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  } catch {
    // Not there, or for another machine: the next one may do.
    return undefined;
  }
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1]);
}

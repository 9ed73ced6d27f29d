/**
 * The farms that this machine knows by a name: contexts.json under $FURROW_HOME. It holds tokens, so only its
 * owner may read it. The farm of this machine is the context `local`, which is there by itself.
 */
import { readFile, stat } from 'node:fs/promises';
import { FurrowError } from '../kit/furrow-error.ts';
import type { FurrowHome } from '../kit/furrow-home.ts';
import { writePrivateFile } from '../kit/private-file.ts';
import { takeProcessLock } from '../kit/process-lock.ts';
import { retrying } from '../kit/retry.ts';
import { parseTrust, type Trust } from '../kit/trust.ts';

/** This machine's farm. */
export const LOCAL_CONTEXT = 'local';

export interface Context {
  /** HOST:PORT of the gRPC server; of several coordinators, with commas between. */
  readonly address: string;
  readonly token: string;
  /** SHA-256 of the farm's authority, in hex; undefined where the URL named none. */
  readonly caSha256: string | undefined;
  /** Undefined: never asked, so that the authority has to be found by its fingerprint each time. */
  readonly trust: Trust | undefined;
}

export interface Contexts {
  /** Name of the one that counts when nothing else is said. */
  readonly current: string;
  /** All but `local`, in the order in which they were added. */
  readonly farms: ReadonlyMap<string, Context>;
}

/** FurrowError: invalid CONTEXT_NAME_INVALID. */
export function checkContextName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(name)) return;
  const message = `'${name}' is no name for a context: 1 to 64 letters, digits, dots, dashes or underscores`;
  throw new FurrowError('invalid', 'CONTEXT_NAME_INVALID', message);
}

/** FurrowError: not-found CONTEXT_UNKNOWN. */
export function contextNamed({ farms }: Contexts, name: string): Context {
  const found = farms.get(name);
  if (found !== undefined) return found;
  const known = [LOCAL_CONTEXT, ...farms.keys()].join(', ');
  const message = `no context '${name}', of ${known}: add it with furrow context add ${name} 'furrow://…'`;
  throw new FurrowError('not-found', 'CONTEXT_UNKNOWN', message);
}

/** FurrowError: invalid CONTEXTS_MALFORMED; forbidden CONTEXTS_EXPOSED when others on this machine can read it. */
export async function readContexts({ contextsFile }: FurrowHome): Promise<Contexts> {
  let text: string;
  try {
    const { mode } = await stat(contextsFile);
    if ((mode & 0o077) !== 0) throw exposed(contextsFile);
    text = await readFile(contextsFile, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return { current: LOCAL_CONTEXT, farms: new Map() };
  }
  try {
    return parseContexts(text);
  } catch (error) {
    const message = `${contextsFile} cannot be read: mend it, or remove it and add the contexts again`;
    throw new FurrowError('invalid', 'CONTEXTS_MALFORMED', message, { cause: error });
  }
}

/**
 * Reads, changes and writes them as one step, also beside other processes that do so. FurrowError: unavailable
 * CONTEXTS_BUSY; those of readContexts and of the change.
 */
export async function changeContexts(
  home: FurrowHome,
  change: (contexts: Contexts) => Contexts,
): Promise<void> {
  const lock = await retrying({ attempts: LOCK_TRIES, ...LOCK_PAUSE }, async () => {
    const taken = takeProcessLock(`${home.contextsFile}.lock`);
    if (taken.state === 'held') return taken;
    const message = `process ${taken.pid} is changing ${home.contextsFile}: try again`;
    throw new FurrowError('unavailable', 'CONTEXTS_BUSY', message);
  });
  try {
    await writeContexts(home, change(await readContexts(home)));
  } finally {
    lock.release();
  }
}

/** About three seconds. */
const LOCK_TRIES = 60;
const LOCK_PAUSE = { firstDelayMs: 10, maxDelayMs: 70 };

async function writeContexts(home: FurrowHome, { current, farms }: Contexts): Promise<void> {
  const content = { current, farms: Object.fromEntries(farms) };
  await writePrivateFile(home.contextsFile, `${JSON.stringify(content, null, 2)}\n`);
}

/** By hand: every command reads this file, as farm.json. */
function parseContexts(text: string): Contexts {
  const { current, farms } = JSON.parse(text) as { current?: unknown; farms?: unknown };
  if (typeof current !== 'string' || !isRecord(farms)) throw new TypeError('it names no contexts');
  const known = Object.entries(farms).map(([name, said]): [string, Context] => {
    checkContextName(name);
    return [name, parseContext(said)];
  });
  return { current, farms: new Map(known) };
}

function parseContext(said: unknown): Context {
  if (!isRecord(said)) throw new TypeError('a context is no object');
  const { address, token, caSha256, trust } = said;
  if (!isText(address) || !isText(token)) throw new TypeError('a context has no address or token');
  if (caSha256 !== undefined && !isText(caSha256)) throw new TypeError('a pin is no text');
  return { address, token, caSha256, trust: trust === undefined ? undefined : parseTrust(trust) };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function exposed(path: string): FurrowError {
  const message = `others can read the tokens in ${path}: run chmod 600 ${path}`;
  return new FurrowError('forbidden', 'CONTEXTS_EXPOSED', message);
}

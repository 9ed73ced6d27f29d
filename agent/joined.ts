/**
 * What an agent keeps of the farm that it has joined: joined.json in its state folder, readable by its owner
 * only. Whoever has it is this agent.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import { writePrivateFile } from '../kit/private-file.ts';
import { parseTrust, type Trust } from '../kit/trust.ts';

export interface Joined {
  readonly farmId: string;
  /** HOST:PORT of its coordinators, with commas between. */
  readonly farm: string;
  readonly trust: Trust;
  /** What it sends as its token. */
  readonly key: string;
  /** Of its key for NATS. */
  readonly natsSeed: string;
}

/** Undefined when it has joined none. FurrowError: invalid JOINED_MALFORMED; forbidden JOINED_UNREADABLE. */
export async function readJoined(stateDirectory: string): Promise<Joined | undefined> {
  const path = joinedFile(stateDirectory);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new FurrowError('forbidden', 'JOINED_UNREADABLE', messageOf(error), { cause: error });
  }
  try {
    const said = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const [farmId, farm, key, natsSeed] = ['farmId', 'farm', 'key', 'natsSeed'].map((name) => {
      const value = said[name];
      if (typeof value !== 'string' || value === '') throw new TypeError(`it has no ${name}`);
      return value;
    }) as [string, string, string, string];
    return { farmId, farm, key, natsSeed, trust: parseTrust(said['trust']) };
  } catch (error) {
    const message = `${path} cannot be read (${messageOf(error)}): remove it and join again`;
    throw new FurrowError('invalid', 'JOINED_MALFORMED', message, { cause: error });
  }
}

export async function writeJoined(stateDirectory: string, joined: Joined): Promise<void> {
  await writePrivateFile(joinedFile(stateDirectory), `${JSON.stringify(joined, null, 2)}\n`);
}

/** Its key opens nothing any more: furrow join begins anew. */
export async function forgetJoined(stateDirectory: string): Promise<void> {
  await rm(joinedFile(stateDirectory), { force: true });
}

export const joinedFile = (stateDirectory: string): string => join(stateDirectory, 'joined.json');

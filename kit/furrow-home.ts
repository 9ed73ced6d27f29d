/**
 * What lies where under $FURROW_HOME (default ~/.furrow), and farm.json: where this machine's farm
 * listens. farm.json is written by the coordinator once it listens and names the process, so that a
 * file left behind by a crash is not mistaken for a running farm.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { FurrowError } from './furrow-error.ts';
import { writePrivateFile } from './private-file.ts';
import { parseTrust, PLAINTEXT, type Trust } from './trust.ts';

/** Paths under one root; none of them need exist. */
export interface FurrowHome {
  readonly root: string;
  /** The farm's token; see token-file.ts. */
  readonly tokenFile: string;
  readonly farmFile: string;
  /** Other farms that this machine knows by a name, with their tokens. */
  readonly contextsFile: string;
  readonly coordinatorDir: string;
  readonly natsDir: string;
  /** Certificate authority, certificates and NATS keys of this farm: secrets. */
  readonly keysDir: string;
  /** State of one agent. */
  agentDir(name: string): string;
}

/** The state root that was asked for, else $FURROW_HOME, else ~/.furrow. */
export function furrowHome(
  asked: string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): FurrowHome {
  const root = resolve(asked || environment['FURROW_HOME'] || join(homedir(), '.furrow'));
  return {
    root,
    tokenFile: join(root, 'token'),
    farmFile: join(root, 'farm.json'),
    contextsFile: join(root, 'contexts.json'),
    coordinatorDir: join(root, 'coordinator'),
    natsDir: join(root, 'nats'),
    keysDir: join(root, 'keys'),
    agentDir: (name) => join(root, 'agents', name),
  };
}

/** Where this machine's farm listens. */
export interface FarmFile {
  /** HOST:PORT of the gRPC server. */
  readonly grpc: string;
  /** Base address of the HTTP server. */
  readonly http: string;
  /** nats-server addresses. */
  readonly nats: readonly string[];
  /** The coordinator's process. */
  readonly pid: number;
  /** HOST:PORT of other coordinators of the same farm, as far as they are known. */
  readonly peers: readonly string[];
  /** By what its coordinators are known. */
  readonly trust: Trust;
}

/** farm.json, or undefined when there is none. FurrowError: invalid FARM_FILE_MALFORMED. */
export async function readFarmFile(path: string): Promise<FarmFile | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return parseFarmFile(text);
  } catch (error) {
    const remedy = `${path} cannot be read: remove it, or name the farm with --farm HOST:PORT`;
    throw new FurrowError('invalid', 'FARM_FILE_MALFORMED', remedy, { cause: error });
  }
}

/** By hand: every command reads this file, and to load zod takes a third of a short one's time. */
function parseFarmFile(text: string): FarmFile {
  const said = JSON.parse(text) as Partial<Record<keyof FarmFile, unknown>>;
  const { grpc, http, nats, pid, peers = [], trust } = said;
  if (!isText(grpc) || !isText(http)) throw new TypeError('it names no address');
  if (!isTexts(nats) || !isTexts(peers))
    throw new TypeError('nats or peers is no list of addresses');
  if (!Number.isSafeInteger(pid) || Number(pid) <= 0) throw new TypeError('it names no process');
  // Farms of 0.1.0 knew no TLS, and say nothing of it.
  const known = trust === undefined ? PLAINTEXT : parseTrust(trust);
  return { grpc, http, nats, pid: Number(pid), peers, trust: known };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');

/** Replaces farm.json in one step, readable by its owner only. */
export async function writeFarmFile(path: string, farm: FarmFile): Promise<void> {
  await writePrivateFile(path, `${JSON.stringify(farm, null, 2)}\n`);
}

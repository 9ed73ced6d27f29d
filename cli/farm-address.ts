/**
 * Which farm, by what it is known, and the token that opens it: --farm, else --context, else $FURROW_FARM, else
 * $FURROW_CONTEXT, else the current context, else this machine's farm. A context brings its token; with a name or
 * this machine's farm it is the one of the URL, else $FURROW_TOKEN, else the token file under $FURROW_HOME.
 * --token-file comes before all of them.
 */
import { FurrowError } from '../kit/furrow-error.ts';
import { type FurrowHome, furrowHome } from '../kit/furrow-home.ts';
import { isFarmUrl, parseFarmUrl } from '../kit/farm-url.ts';
import { wayToFarm } from '../kit/farm-way.ts';
import {
  DEFAULT_SOURCE,
  fileSource,
  flagSource,
  type Source,
  variableSource,
} from '../kit/settings-sources.ts';
import { readToken } from '../kit/token-file.ts';
import type { Trust } from '../kit/trust.ts';
import { type Context, contextNamed, LOCAL_CONTEXT, readContexts } from './contexts.ts';
import { inContext } from './context-errors.ts';

export interface FarmAddressOptions {
  /** HOST:PORT[,HOST:PORT] or a farm's URL. */
  readonly farm?: string;
  /** Name of a context. */
  readonly context?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly plaintext?: boolean;
}

export interface FarmAddress {
  /** HOST:PORT of the gRPC server; of several coordinators, with commas between. */
  readonly address: string;
  readonly trust: Trust;
  readonly token: string;
  /** Name of the context that it is from; undefined for this machine's farm and what was named outright. */
  readonly context?: string | undefined;
}

/** What was chosen, before anybody was asked. */
export type FarmChoice =
  | { readonly state: 'named'; readonly named: string; readonly from: Source }
  | {
      readonly state: 'context';
      readonly name: string;
      readonly context: Context;
      readonly from: Source;
    }
  | { readonly state: 'local'; readonly from: Source };

/** FurrowError: invalid OPTIONS_CONFLICT; those of readContexts and contextNamed. */
export async function chooseFarm(
  options: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
  home: FurrowHome,
): Promise<FarmChoice> {
  const { farm, context } = options;
  if (farm !== undefined && context !== undefined) {
    throw conflict('--farm and --context each name a farm: leave one of them out');
  }
  if (farm !== undefined) return { state: 'named', named: farm, from: flagSource('--farm') };
  const namedThere = environment['FURROW_FARM'] || undefined;
  if (context === undefined && namedThere !== undefined) {
    return { state: 'named', named: namedThere, from: variableSource('FURROW_FARM') };
  }
  const contexts = await readContexts(home);
  const [name, from] = nameOfContext(context, environment, contexts.current, home);
  if (name === LOCAL_CONTEXT) return { state: 'local', from };
  const flag = options.plaintext === true ? '--plaintext' : options.ca && '--ca';
  if (flag) {
    throw conflict(
      `context ${name} says by what its farm is known: leave ${flag} out, or name the farm with --farm or --context ${LOCAL_CONTEXT}`,
    );
  }
  return { state: 'context', name, context: contextNamed(contexts, name), from };
}

function nameOfContext(
  asked: string | undefined,
  environment: NodeJS.ProcessEnv,
  current: string,
  home: FurrowHome,
): [name: string, from: Source] {
  if (asked !== undefined) return [asked, flagSource('--context')];
  const there = environment['FURROW_CONTEXT'] || undefined;
  if (there !== undefined) return [there, variableSource('FURROW_CONTEXT')];
  return [current, current === LOCAL_CONTEXT ? DEFAULT_SOURCE : fileSource(home.contextsFile)];
}

/** What the environment says besides $FURROW_FARM is of that farm, and not of this machine's. */
export function environmentOf(
  choice: FarmChoice,
  environment: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  if (choice.state !== 'local' || !environment['FURROW_FARM']) return environment;
  return { ...environment, FURROW_TOKEN: '', FURROW_CA: '', FURROW_PLAINTEXT: '' };
}

/** Undefined: none was given, and the file of this machine's farm is to be read. No network. */
export async function tokenGiven(
  choice: FarmChoice,
  { tokenFile }: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
): Promise<{ readonly token: string; readonly from: Source } | undefined> {
  if (tokenFile !== undefined) {
    return { token: await readNamedToken(tokenFile), from: flagSource('--token-file') };
  }
  if (choice.state === 'context') {
    return { token: choice.context.token, from: { kind: 'context', name: choice.name } };
  }
  if (choice.state === 'named' && isFarmUrl(choice.named)) {
    const { token } = parseFarmUrl(choice.named);
    if (token !== undefined) return { token, from: choice.from };
  }
  const there = environment['FURROW_TOKEN']?.trim();
  return there ? { token: there, from: variableSource('FURROW_TOKEN') } : undefined;
}

/** What was said of whom to believe, where no context and no URL says it. */
export function trustAsked(
  options: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
): {
  /** Set when there is to be no TLS. */
  readonly plaintext: Source | undefined;
  readonly ca: { readonly path: string; readonly from: Source } | undefined;
} {
  const { plaintext, ca } = options;
  const isThere = isYes(environment['FURROW_PLAINTEXT']);
  const caThere = environment['FURROW_CA'] || undefined;
  return {
    plaintext: plaintext
      ? flagSource('--plaintext')
      : isThere
        ? variableSource('FURROW_PLAINTEXT')
        : undefined,
    ca: ca
      ? { path: ca, from: flagSource('--ca') }
      : caThere === undefined
        ? undefined
        : { path: caThere, from: variableSource('FURROW_CA') },
  };
}

/**
 * FurrowError: unavailable NO_FARM (nothing was ever started here); unauthenticated TOKEN_MISSING; and those of
 * chooseFarm, wayToFarm and readToken.
 */
export async function findFarm(
  options: FarmAddressOptions,
  environmentGiven: NodeJS.ProcessEnv,
): Promise<FarmAddress> {
  const home = furrowHome(undefined, environmentGiven);
  const choice = await chooseFarm(options, environmentGiven, home);
  const environment = environmentOf(choice, environmentGiven);
  if (choice.state === 'context') {
    const { name, context } = choice;
    const { token = context.token } = (await tokenGiven(choice, options, environment)) ?? {};
    const trust = await inContext(name, () => trustOfContext(context));
    return { address: context.address, trust, token, context: name };
  }
  const named = choice.state === 'named' ? choice.named : undefined;
  const { plaintext, ca } = trustAsked(options, environment);
  const { address, trust } = await wayToFarm({
    named,
    plaintext: plaintext !== undefined,
    caFile: ca?.path,
    home,
  });
  const given = await tokenGiven(choice, options, environment);
  if (given !== undefined) return { address, trust, token: given.token };
  try {
    return { address, trust, token: await readToken(home.tokenFile) };
  } catch (error) {
    if (error instanceof FurrowError && error.reason === 'TOKEN_MISSING') {
      throw named ? tokenMissing(address, home.tokenFile) : noFarm(home.root);
    }
    throw error;
  }
}

/** Asks the farm where that was never done. FurrowError: those of trustByPin. */
async function trustOfContext({ address, caSha256, trust }: Context): Promise<Trust> {
  if (trust !== undefined) return trust;
  if (caSha256 === undefined) return { state: 'tls' };
  const { trustByPin } = await import('../kit/pin-ca.ts');
  return trustByPin(address, caSha256);
}

async function readNamedToken(path: string): Promise<string> {
  try {
    return await readToken(path);
  } catch (error) {
    if (!(error instanceof FurrowError && error.reason === 'TOKEN_MISSING')) throw error;
    const message = `there is no token file '${path}': copy the one named token from the farm's state folder`;
    throw new FurrowError('unauthenticated', 'TOKEN_MISSING', message, { cause: error });
  }
}

function noFarm(root: string): FurrowError {
  const message = `no farm was started in ${root}: start one with furrow up, or name one with --farm HOST:PORT`;
  return new FurrowError('unavailable', 'NO_FARM', message);
}

function tokenMissing(address: string, path: string): FurrowError {
  const message = `no token for the farm at ${address}: copy its token file to ${path}, or give --token-file FILE or FURROW_TOKEN`;
  return new FurrowError('unauthenticated', 'TOKEN_MISSING', message);
}

const conflict = (message: string): FurrowError =>
  new FurrowError('invalid', 'OPTIONS_CONFLICT', message);

const isYes = (text: string | undefined): boolean => /^(1|true|yes|on)$/i.test(text ?? '');

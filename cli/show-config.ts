/** What `furrow config show` answers: which farm commands talk to, by what it is known, and why. Asks nobody. */
import { isFarmUrl, parseFarmUrl } from '../kit/farm-url.ts';
import { DEFAULT_FARM, wayToFarm } from '../kit/farm-way.ts';
import { type FurrowHome, furrowHome, readFarmFile } from '../kit/furrow-home.ts';
import {
  DEFAULT_SOURCE,
  fileSource,
  shownSecret,
  type ShownSetting,
  type Source,
  withoutSecrets,
} from '../kit/settings-sources.ts';
import { shownHome, shownTokenOf } from '../kit/shown-settings.ts';
import type { Trust } from '../kit/trust.ts';
import { wordsOfTrust } from './context-view.ts';
import { LOCAL_CONTEXT } from './contexts.ts';
import {
  chooseFarm,
  environmentOf,
  type FarmAddressOptions,
  type FarmChoice,
  tokenGiven,
  trustAsked,
} from './farm-address.ts';
import { usualOwner } from './owner.ts';

/** FurrowError: those of findFarm that need no network. */
export async function showClientConfig(
  asked: FarmAddressOptions,
  environmentGiven: NodeJS.ProcessEnv,
): Promise<ShownSetting[]> {
  const home = furrowHome(undefined, environmentGiven);
  const choice = await chooseFarm(asked, environmentGiven, home);
  const environment = environmentOf(choice, environmentGiven);
  const token = await tokenGiven(choice, asked, environment);
  const owner = usualOwner(environment);
  return [
    shownHome(home, undefined, environment),
    shownContext(choice),
    await shownFarm(choice, home),
    await shownTrust(choice, asked, environment, home),
    token === undefined
      ? await shownTokenOf(home.tokenFile)
      : { name: 'token', value: shownSecret(token.token), from: token.from },
    { name: 'owner', value: owner.name, from: owner.from },
  ];
}

function shownContext(choice: FarmChoice): ShownSetting {
  const name = 'context';
  switch (choice.state) {
    case 'named':
      return { name, value: undefined, from: choice.from };
    case 'context':
      return { name, value: choice.name, from: choice.from };
    case 'local':
      return { name, value: LOCAL_CONTEXT, from: choice.from };
  }
}

async function shownFarm(choice: FarmChoice, home: FurrowHome): Promise<ShownSetting> {
  const name = 'farm';
  if (choice.state === 'named') {
    return { name, value: withoutSecrets(choice.named), from: choice.from };
  }
  if (choice.state === 'context') {
    return { name, value: choice.context.address, from: ofContext(choice.name) };
  }
  const local = await readFarmFile(home.farmFile);
  if (local === undefined) return { name, value: DEFAULT_FARM, from: DEFAULT_SOURCE };
  return { name, value: [local.grpc, ...local.peers].join(','), from: fileSource(home.farmFile) };
}

async function shownTrust(
  choice: FarmChoice,
  asked: FarmAddressOptions,
  environment: NodeJS.ProcessEnv,
  home: FurrowHome,
): Promise<ShownSetting> {
  const name = 'known-by';
  if (choice.state === 'context') {
    const { trust, caSha256 } = choice.context;
    return { name, value: wordsOfTrust(trust, caSha256), from: ofContext(choice.name) };
  }
  const url =
    choice.state === 'named' && isFarmUrl(choice.named) ? parseFarmUrl(choice.named) : undefined;
  if (url?.caSha256 !== undefined) {
    return { name, value: wordsOfTrust(undefined, url.caSha256), from: choice.from };
  }
  const { plaintext, ca } = trustAsked(asked, environment);
  const { trust } = await wayToFarm({
    named: choice.state === 'named' ? choice.named : undefined,
    plaintext: plaintext !== undefined,
    caFile: ca?.path,
    home,
  });
  const from = plaintext ?? ca?.from ?? (await sourceOfTrust(trust, home));
  return { name, value: wordsOfTrust(trust, undefined), from };
}

async function sourceOfTrust(trust: Trust, home: FurrowHome): Promise<Source> {
  const known = await readFarmFile(home.farmFile);
  if (JSON.stringify(known?.trust) === JSON.stringify(trust)) return fileSource(home.farmFile);
  return trust.state === 'tls' && trust.ca === undefined
    ? DEFAULT_SOURCE
    : fileSource(home.keysDir);
}

const ofContext = (name: string): Source => ({ kind: 'context', name });

/** What every role shows of its settings besides its own: the state folder, and its token. */
import type { FurrowHome } from './furrow-home.ts';
import {
  DEFAULT_SOURCE,
  fileSource,
  flagSource,
  shownSecret,
  type ShownSetting,
  variableSource,
  withoutSecrets,
} from './settings-sources.ts';
import { kebabCase, type LayeredSettings } from './settings-sources.ts';
import { readToken } from './token-file.ts';

export function shownHome(
  home: FurrowHome,
  homeFlag: string | undefined,
  environment: NodeJS.ProcessEnv,
): ShownSetting {
  const there = environment['FURROW_HOME'] ? variableSource('FURROW_HOME') : DEFAULT_SOURCE;
  return { name: 'home', value: home.root, from: homeFlag ? flagSource('--home') : there };
}

/** Each by its flag's name, without secrets. */
export function shownSettings(
  settings: Readonly<Record<string, unknown>>,
  sourceOf: LayeredSettings['sourceOf'],
): ShownSetting[] {
  return Object.entries(settings).map(([key, value]) => ({
    name: kebabCase(key),
    value: withoutSecrets(value),
    from: sourceOf(key),
  }));
}

/** That of the file, or that there is none. FurrowError: those of readToken but TOKEN_MISSING. */
export async function shownTokenOf(path: string): Promise<ShownSetting> {
  const token = await readToken(path).catch((error: { reason?: string }) => {
    if (error.reason !== 'TOKEN_MISSING') throw error;
  });
  const value = token === undefined ? undefined : shownSecret(token);
  return { name: 'token', value, from: value === undefined ? DEFAULT_SOURCE : fileSource(path) };
}

/** What `furrow config show --role coordinator` answers: what a coordinator would be started with. */
import type { ShownSetting } from '../kit/settings-sources.ts';
import { shownHome, shownSettings, shownTokenOf } from '../kit/shown-settings.ts';
import { COORDINATOR_SETTINGS, readCoordinatorSettings } from './config.ts';

/** FurrowError: those of readCoordinatorConfig and readToken. */
export async function showConfig(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<ShownSetting[]> {
  const { config, sourceOf, homeFlag } = readCoordinatorSettings(argv, environment);
  const { home } = config;
  const settings = Object.fromEntries(COORDINATOR_SETTINGS.map((key) => [key, config[key]]));
  return [
    shownHome(home, homeFlag, environment),
    ...shownSettings(settings, sourceOf),
    await shownTokenOf(home.tokenFile),
  ];
}

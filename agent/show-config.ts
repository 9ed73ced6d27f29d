/** What `furrow config show --role agent` answers: what an agent would be started with. Asks nobody. */
import { isFarmUrl, parseFarmUrl } from '../kit/farm-url.ts';
import { readFarmFile } from '../kit/furrow-home.ts';
import {
  fileSource,
  shownSecret,
  type ShownSetting,
  variableSource,
} from '../kit/settings-sources.ts';
import { shownHome, shownSettings, shownTokenOf } from '../kit/shown-settings.ts';
import { formatHours } from '../kit/weekly-hours.ts';
import { joinedFile, readJoined } from './joined.ts';
import { AGENT_SETTINGS, type AgentSettings, readAgentSettings } from './config.ts';

/** FurrowError: invalid BAD_USAGE; those of readJoined, readFarmFile and readToken. */
export async function showConfig(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<ShownSetting[]> {
  const all = readAgentSettings(argv, environment);
  const { settings, sourceOf, home, homeFlag, stateDirectory } = all;
  const { farm: _farm, ...others } = Object.fromEntries(
    AGENT_SETTINGS.map((key) => [key, settings[key]]),
  );
  const shown = {
    ...others,
    state: stateDirectory,
    grace: seconds(settings.grace),
    idleAfter: seconds(settings.idleAfter),
    hours: formatHours(settings.hours),
  };
  return [
    shownHome(home, homeFlag, environment),
    await shownFarm(all),
    ...shownSettings(shown, sourceOf),
    await shownToken(all, environment),
  ];
}

/** As its flag takes it. */
const seconds = (ms: number): string => `${ms / 1000}s`;

async function shownFarm(all: AgentSettings): Promise<ShownSetting> {
  const { settings, sourceOf, home, stateDirectory } = all;
  const [shown] = shownSettings({ farm: settings.farm }, sourceOf);
  const joined = settings.farm === undefined ? await readJoined(stateDirectory) : undefined;
  if (joined !== undefined) {
    return { name: 'farm', value: joined.farm, from: fileSource(joinedFile(stateDirectory)) };
  }
  const local = settings.farm === undefined ? await readFarmFile(home.farmFile) : undefined;
  if (local === undefined) return shown!;
  const value = [local.grpc, ...local.peers].join(',');
  return { name: 'farm', value, from: fileSource(home.farmFile) };
}

async function shownToken(
  { settings, sourceOf, home }: AgentSettings,
  environment: NodeJS.ProcessEnv,
): Promise<ShownSetting> {
  const { farm, tokenFile } = settings;
  if (tokenFile !== undefined) return shownTokenOf(tokenFile);
  const ofUrl = farm !== undefined && isFarmUrl(farm) ? parseFarmUrl(farm).token : undefined;
  if (ofUrl !== undefined) {
    return { name: 'token', value: shownSecret(ofUrl), from: sourceOf('farm') };
  }
  const there = environment['FURROW_TOKEN'];
  if (!there) return shownTokenOf(home.tokenFile);
  return { name: 'token', value: shownSecret(there), from: variableSource('FURROW_TOKEN') };
}

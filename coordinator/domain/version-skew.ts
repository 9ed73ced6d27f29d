/**
 * Which versions of agents a coordinator works with: its own minor version and the one before, so that a farm is
 * upgraded coordinator first, then agent by agent. Patches do not matter; nothing works across major versions.
 */

interface Version {
  readonly major: number;
  readonly minor: number;
}

export interface VersionedAgent {
  readonly name: string;
  readonly version: string;
}

/** One line with the remedy; undefined when the two work together. */
export function faultOfVersion(
  agent: VersionedAgent,
  coordinatorVersion: string,
): string | undefined {
  const ours = ownVersion(coordinatorVersion);
  const theirs = parseVersion(agent.version);
  if (theirs === undefined) {
    return `agent ${agent.name} says that it runs furrow ${JSON.stringify(agent.version.slice(0, 40))}, which is no version: install ${coordinatorVersion} on it`;
  }
  const runs = `agent ${agent.name} runs furrow ${agent.version}, the coordinator ${coordinatorVersion}`;
  if (isBefore(ours, theirs)) {
    return `${runs}: upgrade the coordinator to ${minorOf(theirs)} first, or install ${minorOf(ours)} on the agent`;
  }
  if (ours.major === theirs.major && ours.minor - theirs.minor <= 1) return undefined;
  const before = ours.minor > 0 ? `${minorOf({ ...ours, minor: ours.minor - 1 })} and ` : '';
  return `${runs}, which works with agents of ${before}${minorOf(ours)}: upgrade the agent to ${coordinatorVersion}`;
}

/** What to say of those that work now, and will not with the coordinator's next minor version. */
export function upgradeWarning(
  agents: readonly VersionedAgent[],
  coordinatorVersion: string,
): string | undefined {
  const ours = ownVersion(coordinatorVersion);
  const behind = agents.filter(({ version }) => {
    const theirs = parseVersion(version);
    return theirs !== undefined && isBefore(theirs, ours);
  });
  if (behind.length === 0) return undefined;
  const shown = behind.slice(0, MOST_NAMED).map(({ name, version }) => `${name} (${version})`);
  const more = behind.length > MOST_NAMED ? [`${behind.length - MOST_NAMED} more`] : [];
  const next = minorOf({ ...ours, minor: ours.minor + 1 });
  return `older than this coordinator: ${[...shown, ...more].join(', ')}: upgrade to ${coordinatorVersion} before the coordinator goes to ${next}`;
}

const MOST_NAMED = 5;

/** MAJOR.MINOR.PATCH, and what may follow it. */
function parseVersion(text: string): Version | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})\.\d{1,6}(?:[-+][0-9A-Za-z.+-]{1,64})?$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

function ownVersion(text: string): Version {
  const version = parseVersion(text);
  if (version === undefined) throw new TypeError(`a coordinator of no version: ${text}`);
  return version;
}

const isBefore = (a: Version, b: Version): boolean =>
  a.major === b.major ? a.minor < b.minor : a.major < b.major;

const minorOf = ({ major, minor }: Version): string => `${major}.${minor}`;

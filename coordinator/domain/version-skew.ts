/**
 * Which versions of agents a coordinator works with: its own minor version and the one before, so that a farm is
 * upgraded coordinator first, then agent by agent. Patches do not matter; nothing works across major versions.
 * The same holds for clients that say which version they are.
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
  const who = { subject: `agent ${agent.name}`, kind: 'agent', kinds: 'agents' };
  return faultOf(who, agent.version, coordinatorVersion);
}

/** The same for whoever asks by gRPC and says its version. */
export function faultOfClient(version: string, coordinatorVersion: string): string | undefined {
  const who = { subject: 'this client', kind: 'client', kinds: 'clients' };
  return faultOf(who, version, coordinatorVersion);
}

function faultOf(
  { subject, kind, kinds }: Readonly<Record<'subject' | 'kind' | 'kinds', string>>,
  version: string,
  coordinatorVersion: string,
): string | undefined {
  const ours = ownVersion(coordinatorVersion);
  const theirs = parseVersion(version);
  if (theirs === undefined) {
    return `${subject} says that it runs furrow ${JSON.stringify(version.slice(0, 40))}, which is no version: install ${coordinatorVersion} on it`;
  }
  const runs = `${subject} runs furrow ${version}, the coordinator ${coordinatorVersion}`;
  if (isBefore(ours, theirs)) {
    return `${runs}: upgrade the coordinator to ${minorOf(theirs)} first, or install ${minorOf(ours)} on the ${kind}`;
  }
  if (ours.major === theirs.major && ours.minor - theirs.minor <= 1) return undefined;
  const before = ours.minor > 0 ? `${minorOf({ ...ours, minor: ours.minor - 1 })} and ` : '';
  return `${runs}, which works with ${kinds} of ${before}${minorOf(ours)}: upgrade the ${kind} to ${coordinatorVersion}`;
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

/**
 * Farms on this network, by mDNS and DNS-SD (RFC 6762, 6763): a coordinator announces where it listens, an
 * agent that was told no address looks for it.
 *
 * Anybody on a network can announce anything, and whoever an agent connects to is shown the farm's token.
 * So an announcement proves that its sender knows the token already, for just that address and farm, and an
 * agent believes only those that prove its own: what a stranger announces is never connected to.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import multicastDns, { type MulticastDNS, type ResponsePacket } from 'multicast-dns';

export interface Announcement {
  readonly farmId: string;
  /** HOST:PORT of the gRPC server, as others reach it. */
  readonly address: string;
  /** SHA-256 of its certificate authority, hexadecimal; empty for none of its own. */
  readonly caSha256: string;
}

/** Where multicast goes. */
export interface DiscoveryNetwork {
  /** Default: 5353. */
  readonly port?: number;
  /** Address of one interface of this machine. Default: all of them. */
  readonly interface?: string;
}

export interface Found extends Announcement {
  /** Its sender knows the token. */
  readonly isProven: boolean;
}

type Answers = ResponsePacket['answers'];
type Answer = Answers[number];

const SERVICE = '_furrow._tcp.local';
const ASKED: ReadonlySet<string> = new Set(['PTR', 'ANY']);
const TTL_SECONDS = 120;
/** The first one may be lost. */
const REPEAT_MS = 1_000;
const PROOF_BYTES = 16;

/**
 * Answers whoever asks, until the end is called for. What goes wrong on the network is told and harms
 * nothing.
 */
export function announceFarm(
  announcement: Announcement,
  token: string,
  network: DiscoveryNetwork,
  onTrouble: (message: string) => void,
): () => Promise<void> {
  const mdns = open(network, onTrouble);
  const answers = answersFor(announcement, token, TTL_SECONDS);
  const say = (): void => mdns.respond({ answers });
  mdns.on('query', ({ questions }) => {
    const isAsked = questions.some(({ name, type }) => {
      return name.toLowerCase() === SERVICE && ASKED.has(type);
    });
    if (isAsked) say();
  });
  mdns.on('ready', say);
  const repeat = setTimeout(say, REPEAT_MS);
  return async () => {
    clearTimeout(repeat);
    // A goodbye: caches forget it at once.
    const gone = answersFor(announcement, token, 0);
    await new Promise((resolve) => mdns.respond({ answers: gone }, resolve));
    await closed(mdns);
  };
}

/** All that are heard within the time, those with the same address once. */
export async function findFarms(
  token: string,
  waitMs: number,
  network: DiscoveryNetwork,
  onTrouble: (message: string) => void,
): Promise<readonly Found[]> {
  const mdns = open(network, onTrouble);
  const found = new Map<string, Found>();
  mdns.on('response', ({ answers, additionals }) => {
    for (const each of announcementsIn([...answers, ...additionals], token)) {
      // No liar may hide what was proven.
      if (found.get(each.address)?.isProven !== true) found.set(each.address, each);
    }
  });
  const ask = (): void => mdns.query({ questions: [{ name: SERVICE, type: 'PTR' }] });
  mdns.on('ready', ask);
  const repeat = setTimeout(ask, waitMs / 2);
  await sleep(waitMs);
  clearTimeout(repeat);
  await closed(mdns);
  return [...found.values()];
}

function open(network: DiscoveryNetwork, onTrouble: (message: string) => void): MulticastDNS {
  // Bound to an interface's address, a socket would hear no multicast.
  const mdns = multicastDns({ ...network, bind: '0.0.0.0' });
  // Both are errors of sockets and packets of others; unheard, the first would end the process.
  mdns.on('error', (error) => onTrouble(error.message));
  mdns.on('warning', (error) => onTrouble(error.message));
  return mdns;
}

function closed(mdns: MulticastDNS): Promise<void> {
  return new Promise((resolve) => mdns.destroy(resolve));
}

/** Records for agents of ours, who read the TXT, and for whoever else browses the network. */
export function answersFor(announcement: Announcement, token: string, ttl: number): Answer[] {
  const { farmId, address, caSha256 } = announcement;
  const at = address.lastIndexOf(':');
  const [host, port] = [address.slice(0, at), Number(address.slice(at + 1))];
  const label = `furrow-${farmId.slice(0, 8)}-${host.replace(/[^A-Za-z0-9]/g, '-').slice(0, 32)}-${port}`;
  const [instance, target] = [`${label}.${SERVICE}`, `${label}.local`];
  const data = [
    `farm=${farmId}`,
    `grpc=${address}`,
    `ca=${caSha256}`,
    `proof=${proofOf(announcement, token)}`,
  ];
  const answers: Answer[] = [
    { name: SERVICE, type: 'PTR', ttl, data: instance },
    { name: instance, type: 'SRV', ttl, data: { port, target } },
    { name: instance, type: 'TXT', ttl, data },
  ];
  const isV4 = /^\d+\.\d+\.\d+\.\d+$/.test(host);
  return isV4 ? [...answers, { name: target, type: 'A', ttl, data: host }] : answers;
}

/** Whatever else is in a packet is passed over; so is what says that it goes. */
export function announcementsIn(answers: Answers, token: string): Found[] {
  return answers.flatMap((answer) => {
    if (answer.type !== 'TXT' || !answer.name.toLowerCase().endsWith(`.${SERVICE}`)) return [];
    if (answer.ttl === 0) return [];
    const said = new Map<string, string>();
    for (const entry of [answer.data].flat()) {
      const text = entry.toString();
      const at = text.indexOf('=');
      if (at > 0) said.set(text.slice(0, at), text.slice(at + 1));
    }
    const [farmId = '', address = '', caSha256 = ''] = ['farm', 'grpc', 'ca'].map((key) =>
      said.get(key),
    );
    if (!FARM_ID.test(farmId) || !ADDRESS.test(address) || !CA.test(caSha256)) return [];
    const proof = Buffer.from(said.get('proof') ?? '');
    const expected = Buffer.from(proofOf({ farmId, address, caSha256 }, token));
    const isProven = proof.length === expected.length && timingSafeEqual(proof, expected);
    return [{ farmId, address, caSha256, isProven }];
  });
}

const FARM_ID = /^[\w-]{1,64}$/;
const CA = /^([0-9a-f]{64})?$/;
const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253}):\d{1,5}$/;

/** The token is 32 random bytes: nobody finds it from this. */
function proofOf({ farmId, address, caSha256 }: Announcement, token: string): string {
  const said = ['furrow announcement', farmId, address, caSha256].join('\n');
  const hmac = createHmac('sha256', token).update(said);
  return hmac.digest().subarray(0, PROOF_BYTES).toString('hex');
}

import { expect, test } from 'vitest';
import {
  announcementsIn,
  announceFarm,
  answersFor,
  findFarms,
} from '../../../kit/farm-discovery.ts';

const TOKEN = 'a'.repeat(43);
const OTHER = 'b'.repeat(43);
const FARM = {
  farmId: '0c9f1f4e-6d0b-4a36-9a9e-2f6e5b8d7a11',
  address: '192.168.1.5:7400',
  caSha256: 'c'.repeat(64),
};
/** Multicast that stays on this machine, beside the port of those who mean it. */
const NETWORK = { port: 20_000 + (process.pid % 10_000), interface: '127.0.0.1' };
const noTrouble = (message: string): never => {
  throw new Error(message);
};

test('what is announced is read back, proven for whoever has the token', () => {
  const answers = answersFor(FARM, TOKEN, 120);
  expect(answers.map(({ type }) => type)).toEqual(['PTR', 'SRV', 'TXT', 'A']);
  expect(announcementsIn(answers, TOKEN)).toEqual([{ ...FARM, isProven: true }]);
  expect(announcementsIn(answers, OTHER)).toEqual([{ ...FARM, isProven: false }]);
});

test('an announcement of another address or farm is not proven by one that was heard', () => {
  const [, , txt] = answersFor(FARM, TOKEN, 120);
  const data = (txt as { data: string[] }).data;
  for (const lie of ['grpc=192.168.1.66:7400', 'farm=another', `ca=${'d'.repeat(64)}`]) {
    const key = lie.slice(0, lie.indexOf('=') + 1);
    const told = data.map((entry) => (entry.startsWith(key) ? lie : entry));
    const [found] = announcementsIn([{ ...txt!, data: told } as never], TOKEN);
    expect(found?.isProven).toBe(false);
  }
});

test('what is no announcement of a farm is passed over, and so is a goodbye', () => {
  const txt = (data: readonly string[], name = 'x._furrow._tcp.local') =>
    announcementsIn([{ name, type: 'TXT', ttl: 1, data: [...data] }], TOKEN);
  expect(txt(['farm=f', 'grpc=1.2.3.4:5'])).toHaveLength(1);
  expect(txt(['farm=f', 'grpc=1.2.3.4:5'], 'x._http._tcp.local')).toEqual([]);
  expect(txt(['farm=f'])).toEqual([]);
  expect(txt(['farm=f', 'grpc=evil host:1'])).toEqual([]);
  expect(txt(['farm=f', 'grpc=1.2.3.4'])).toEqual([]);
  expect(announcementsIn(answersFor(FARM, TOKEN, 0), TOKEN)).toEqual([]);
  const ptr = { name: '_furrow._tcp.local', type: 'PTR', ttl: 1, data: 'x' } as const;
  expect(announcementsIn([ptr], TOKEN)).toEqual([]);
});

test('a farm is found over real multicast, and not after its goodbye', async () => {
  const standby = { ...FARM, address: 'nas.local:7400' };
  const stranger = { ...FARM, farmId: 'stranger', address: '192.168.1.66:7400' };
  const stops = [
    announceFarm(FARM, TOKEN, NETWORK, noTrouble),
    announceFarm(standby, TOKEN, NETWORK, noTrouble),
    announceFarm(stranger, OTHER, NETWORK, noTrouble),
  ];
  const found = await findFarms(TOKEN, 1_000, NETWORK, noTrouble);
  expect(found.toSorted((a, b) => (a.address < b.address ? -1 : 1))).toEqual([
    { ...FARM, isProven: true },
    { ...stranger, isProven: false },
    { ...standby, isProven: true },
  ]);
  for (const stop of stops) await stop();
  expect(await findFarms(TOKEN, 300, NETWORK, noTrouble)).toEqual([]);
});

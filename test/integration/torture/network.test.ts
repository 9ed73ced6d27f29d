/** The fronts of a tortured farm do what the faults say, to those whom they name. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../support/farm.ts';
import {
  type Aftermath,
  type Disturbance,
  Network,
  type Place,
  type Rule,
} from '../../torture/network.ts';

const PLACE: Place = { party: 'c1', service: 'grpc' };

let server: Server;
let network: Network;
let frontPort: number;
/** What the server heard, and its sockets. */
let heard: string;
let called: Socket[];
let calls: Call[];

beforeEach(async () => {
  [heard, called, calls] = ['', [], []];
  server = createServer((socket) => {
    called.push(socket);
    socket.on('data', (chunk) => (heard += chunk.toString()));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  network = new Network(() => new Map([['a1', process.pid]]));
  frontPort = await network.front(PLACE, address.port);
});

afterEach(() => {
  for (const { socket } of calls) socket.destroy();
  network.close();
  server.close();
});

test('whoever is not named by a rule is not disturbed', async () => {
  const seen: [string, Place][] = [];
  network.disturb({
    ...rule('refused'),
    matches: (from, to) => {
      seen.push([from, to]);
      return from === 'a2' || to.party === 'c2';
    },
  });
  const call = dial();
  call.say('hello');
  await until('it is heard', () => heard === 'hello');
  expect(seen).toContainEqual(['a1', PLACE]);
  called[0]?.write('welcome');
  await until('the answer is there', () => call.heard() === 'welcome');
});

test('refused: connections end, and new ones do, until it is over', async () => {
  const before = dial();
  before.say('hello');
  await until('it is heard', () => heard === 'hello');
  const heal = network.disturb(rule('refused'));
  await until('it ends', () => before.hasEnded());
  const during = dial();
  await until('the new one ends', () => during.hasEnded());
  heal();
  dial().say(' again');
  await until('it is heard', () => heard === 'hello again');
});

test('a black hole accepts, is silent both ways, and lets all arrive late', async () => {
  const before = dial();
  before.say('one ');
  await until('it is heard', () => heard === 'one ');
  const heal = network.disturb(rule('black-hole'));
  before.say('two ');
  called[0]?.write('answer');
  const during = dial();
  await until('it is accepted', () => during.isConnected());
  during.say('three');
  await passes();
  expect([heard, before.heard(), called.length]).toEqual(['one ', '', 1]);
  heal();
  await until('the held answer is there', () => before.heard() === 'answer');
  await until('all is heard', () => heard.includes('two ') && heard.includes('three'));
});

test('deaf: what the caller says is held, what it is told arrives', async () => {
  const call = dial();
  call.say('one ');
  await until('it is heard', () => heard === 'one ');
  const heal = network.disturb(rule('deaf'));
  call.say('two');
  called[0]?.write('told');
  await until('it is told', () => call.heard() === 'told');
  expect(heard).toBe('one ');
  heal();
  await until('the rest is heard', () => heard === 'one two');
});

test('mute: what is said back is held; when it ends with a reset, it never comes', async () => {
  const call = dial();
  call.say('one ');
  await until('it is heard', () => heard === 'one ');
  const heal = network.disturb(rule('mute', 'reset'));
  called[0]?.write('told');
  call.say('two');
  await until('it is heard', () => heard === 'one two');
  await passes();
  expect(call.heard()).toBe('');
  heal();
  await until('it ends', () => call.hasEnded());
  expect(call.heard()).toBe('');
});

interface Call {
  readonly socket: Socket;
  say(text: string): void;
  heard(): string;
  isConnected(): boolean;
  hasEnded(): boolean;
}

function dial(): Call {
  const socket = connect(frontPort, '127.0.0.1');
  const state = { heard: '', isConnected: false, hasEnded: false };
  socket.on('connect', () => (state.isConnected = true));
  socket.on('data', (chunk) => (state.heard += chunk.toString()));
  socket.on('error', () => undefined);
  socket.on('close', () => (state.hasEnded = true));
  const call: Call = {
    socket,
    say: (text) => void socket.write(text),
    heard: () => state.heard,
    isConnected: () => state.isConnected,
    hasEnded: () => state.hasEnded,
  };
  calls.push(call);
  return call;
}

function rule(disturbance: Disturbance, aftermath: Aftermath = 'late'): Rule {
  return { disturbance, aftermath, matches: (from, to) => from === 'a1' && to === PLACE };
}

/** Another connection's way there and back through an undisturbed front: what could come has come. */
async function passes(): Promise<void> {
  const echo = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  const address = echo.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const port = await network.front({ party: 'c2', service: 'http' }, address.port);
  const socket = connect(port, '127.0.0.1');
  socket.write('ping');
  await new Promise((resolve) => socket.once('data', resolve));
  socket.destroy();
  echo.close();
}

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { FrontDoor } from '../../../../coordinator/limits/front-door.ts';
import { addressOf, peerOf } from '../../../../coordinator/limits/peer.ts';
import { Places } from '../../../../coordinator/limits/places.ts';
import { RequestRate } from '../../../../coordinator/limits/request-rate.ts';
import { UnfinishedRequests } from '../../../../coordinator/limits/unfinished-requests.ts';
import { UnreadAnswers } from '../../../../coordinator/limits/unread-answers.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

class StandInSocket extends EventEmitter {
  readonly localPort = 7400;
  readonly remoteAddress: string;
  readonly remotePort: number;
  isDestroyed = false;

  constructor(remoteAddress: string, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }
}

let ports = 1;
const socketFrom = (address: string): StandInSocket => new StandInSocket(address, ports++);
const asSocket = (socket: StandInSocket): Socket => socket as unknown as Socket;

function doorFor(connections: number, perAddress: number, perLoopback = connections) {
  const clock = new ManualClock();
  const turnedAway: string[] = [];
  const door = new FrontDoor({
    connections,
    perAddress,
    perLoopback,
    monotonicMs: clock.monotonicMs,
    turnedAway: (address) => turnedAway.push(address),
  });
  return { clock, door, turnedAway };
}

test('addresses are counted as their owners have them', () => {
  const of = (remoteAddress: string) => addressOf({ remoteAddress });
  expect(of('192.168.1.5')).toBe('192.168.1.5');
  expect(of('::ffff:192.168.1.5')).toBe('192.168.1.5');
  expect(of('::1')).toBe('::1');
  expect(of('2001:db8:1:2::1')).toBe(of('2001:db8:1:2:ffff:ffff:ffff:ffff'));
  expect(of('2001:db8:1:2::1')).not.toBe(of('2001:db8:1:3::1'));
  expect(of('fe80::1%eth0')).toBe(of('fe80::2%eth1'));
});

test('one address has its share of the connections, this machine more, and who left counts no more', () => {
  const { door, turnedAway } = doorFor(10, 2, 4);
  const [first, second] = [socketFrom('10.0.0.1'), socketFrom('10.0.0.1')];
  expect([first, second].map((socket) => door.admit(asSocket(socket)))).toEqual([true, true]);
  expect(door.admit(asSocket(socketFrom('10.0.0.1')))).toBe(false);
  expect(turnedAway).toEqual(['10.0.0.1']);
  const own = Array.from({ length: 5 }, () => door.admit(asSocket(socketFrom('127.0.0.1'))));
  expect(own).toEqual([true, true, true, true, false]);
  first.destroy();
  expect(door.open).toBe(5);
  expect(door.admit(asSocket(socketFrom('10.0.0.1')))).toBe(true);
});

test('when all places are taken, the stranger who was there longest makes room, and nobody else', () => {
  const { clock, door } = doorFor(3, 3);
  const sockets = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(socketFrom);
  for (const socket of sockets) door.admit(asSocket(socket));
  door.know(peerOf(sockets[0]!));
  // All are new yet: who is there may still show a token.
  expect(door.admit(asSocket(socketFrom('10.0.0.4')))).toBe(false);
  clock.advance(3_000);
  expect(door.admit(asSocket(socketFrom('10.0.0.4')))).toBe(true);
  expect(sockets.map(({ isDestroyed }) => isDestroyed)).toEqual([false, true, false]);
  expect(door.open).toBe(3);
});

test('requests come at a steady rate, after a burst, each address for itself', () => {
  const clock = new ManualClock();
  const rate = new RequestRate({ perSecond: 10, monotonicMs: clock.monotonicMs });
  const taken = (address: string) =>
    Array.from({ length: 100 }, () => rate.take(address)).filter(Boolean).length;
  expect(taken('a')).toBe(20);
  expect(taken('b')).toBe(20);
  clock.advance(1_000);
  expect(taken('a')).toBe(10);
  clock.advance(60_000);
  expect(taken('a')).toBe(20);
});

test('places are given back once, and counted by address', () => {
  const places = new Places({ inAll: 3, perAddress: 2 });
  const [first, second] = [places.take('a'), places.take('a')];
  expect(places.take('a')).toBeUndefined();
  expect(places.take('b')).toBeDefined();
  expect(places.take('c')).toBeUndefined();
  first?.();
  first?.();
  expect(places.taken).toBe(2);
  second?.();
  expect(places.take('a')).toBeDefined();
});

test('who lets too many answers wait, or any for too long, is cut; who reads is not', () => {
  const clock = new ManualClock();
  const cut: string[] = [];
  const unread = new UnreadAnswers({
    perConnectionBytes: 100,
    inAllBytes: 250,
    longestMs: 1_000,
    monotonicMs: clock.monotonicMs,
    cut: (peer) => cut.push(peer),
  });
  unread.add('large', 200)();
  const read = unread.add('a', 90);
  expect(cut).toEqual([]);
  unread.add('a', 20);
  expect(cut).toEqual(['a']);
  unread.add('b', 95);
  unread.add('c', 60);
  expect(cut).toEqual(['a', 'a']);
  read();
  expect(unread.bytes).toBe(175);
  clock.advance(900);
  unread.add('d', 5)();
  const last = unread.add('d', 5);
  clock.advance(200);
  cut.length = 0;
  unread.cutStalled();
  expect(cut).toEqual(['a', 'b', 'c']);
  last();
});

test('of requests that do not come whole only few may be slow', () => {
  const clock = new ManualClock();
  const cut: string[] = [];
  const unfinished = new UnfinishedRequests({
    mostSlow: 2,
    longestMs: 10_000,
    monotonicMs: clock.monotonicMs,
    cut: (peer) => cut.push(peer),
  });
  const whole = unfinished.add('done');
  for (const peer of ['a', 'b', 'c']) unfinished.add(peer);
  whole();
  unfinished.cutSlowest();
  expect(cut).toEqual([]);
  clock.advance(2_000);
  unfinished.add('new');
  unfinished.cutSlowest();
  expect(cut).toEqual(['a']);
});

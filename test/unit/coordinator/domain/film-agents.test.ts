import { beforeEach, expect, test } from 'vitest';
import { filmAgents } from '../../../../coordinator/domain/film-agents.ts';
import { FarmDriver } from '../../../support/farm-driver.ts';

let driver: FarmDriver;
beforeEach(() => {
  driver = new FarmDriver();
  const ffmpeg = ['tool:ffmpeg', 'encoder:libx264'];
  driver.enrol('a1', { attributes: [...ffmpeg, 'encoder:h264_nvenc', 'tag:studio'] });
  driver.enrol('a2', { attributes: [...ffmpeg, 'pool:night'] });
  driver.enrol('a3', { attributes: ['tool:blender'] });
  // It has the program, and nothing that works with it.
  driver.enrol('a4', { attributes: ['tool:ffmpeg'] });
});

const named = (...attributes: string[]): string[] =>
  filmAgents(driver, attributes).map(({ name }) => name);

test('those that can encode films, with what was proven there', () => {
  expect(filmAgents(driver, [])).toEqual([
    { name: 'a1-box', encoders: new Set(['libx264', 'h264_nvenc']), cpus: 4 },
    { name: 'a2-box', encoders: new Set(['libx264']), cpus: 4 },
  ]);
});

test('of these, those with what every unit asks for', () => {
  expect(named('tag:studio')).toEqual(['a1-box']);
  expect(named('tag:studio', 'pool:night')).toEqual([]);
});

test('who gets nothing now is not asked; who was full a moment ago is', () => {
  driver.ask({ type: 'DrainAgent', agent: 'a1', draining: true });
  expect(named()).toEqual(['a2-box']);
  const agent = driver.liveness.agents.get('a2')!;
  agent.grantsPausedUntilMs = driver.nowMs + 60_000;
  expect(named()).toEqual(['a2-box']);
  agent.trust.suspendedUntilMs = driver.nowMs + 60_000;
  expect(named()).toEqual([]);
});

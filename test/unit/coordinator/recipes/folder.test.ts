import { describe, expect, test } from 'vitest';
import { faultOfSteps } from '../../../../coordinator/domain/check-steps.ts';
import { folderFilms } from '../../../support/folder-films.ts';
import { folderSteps, type FolderRequest } from '../../../../coordinator/recipes/folder.ts';

const MIB = 1024 ** 2;

const film = (name: string, sizeBytes = 1000) => ({
  source: { name: `${name}.mov`, sha256: 'a'.repeat(64), sizeBytes },
  film: `${name}.mp4`,
});
const requestFor = (...films: FolderRequest['films']): FolderRequest => ({ films, pieceMs: 0 });

function stepsOf(request: FolderRequest) {
  const plan = folderSteps(request);
  if (plan.state !== 'ok') throw new Error(plan.message);
  return plan.steps;
}

const VIDEO = { encoder: '', crf: 0, preset: '', width: 0, height: 0, threads: 0 };

describe('the recipe folder', () => {
  test('gives each film steps of its own, and a table to all', () => {
    const steps = stepsOf(requestFor(film('a'), film('trip/a')));
    expect(faultOfSteps(steps)).toBeUndefined();
    expect(steps.map(({ name }) => name)).toEqual([
      'split-0',
      'audio-0',
      'encode-0',
      'concat-0',
      'proof-0',
      'split-1',
      'audio-1',
      'encode-1',
      'concat-1',
      'proof-1',
      'results',
    ]);
    const kept = steps.flatMap(({ outputs }) => outputs.filter(({ keep }) => keep));
    expect(kept.map(({ pattern }) => pattern)).toEqual([
      'a.mp4',
      'proofs/a.mp4.proof.json',
      'trip/a.mp4',
      'proofs/trip/a.mp4.proof.json',
      'results.json',
      'results.csv',
    ]);
  });

  test('has all steps of a film note what is wrong with its source', () => {
    const steps = stepsOf(requestFor(film('a'))).filter(({ name }) => name !== 'results');
    for (const { task, outputs } of steps) {
      expect(task?.kind?.value).toMatchObject({ branch: { noteFaults: true } });
      expect(outputs).toContainEqual({ pattern: 'fault-*', keep: false, optional: true });
      expect(outputs.every(({ optional }) => optional)).toBe(true);
    }
  });

  test('an empty source has a line in the table and no steps', () => {
    const steps = stepsOf(requestFor(film('a', 0)));
    expect(steps.map(({ name }) => name)).toEqual(['results']);
    expect(steps[0]?.task?.kind?.value).toMatchObject({ films: [{ refused: 'a.mov is empty' }] });
  });

  test('of 2,000 films is a job that can run, whose units need one of a few sizes', () => {
    const steps = stepsOf(requestFor(...folderFilms(2_000)));
    expect(steps).toHaveLength(10_001);
    expect(faultOfSteps(steps)).toBeUndefined();
    const demands = new Set(steps.map(({ demand }) => JSON.stringify(demand)));
    expect(demands.size).toBeLessThan(40);
  }, 60_000);

  test.each([
    [0, 256 * MIB],
    [100 * MIB, 384 * MIB],
    [250 * MIB, 768 * MIB],
    [900 * MIB, 2048 * MIB],
  ])('a film of %i bytes has room for it, rounded up, on a disk', (sizeBytes, scratchBytes) => {
    const [split] = stepsOf(requestFor(film('a', sizeBytes || 1)));
    expect(split?.demand?.scratchBytes).toBe(scratchBytes);
  });

  const many = (count: number, name: string) =>
    requestFor(...Array.from({ length: count }, (_, i) => film(`${name}${i}`)));
  test.each<[string, FolderRequest, RegExp]>([
    ['no films', requestFor(), /films is empty/],
    ['too many films', many(3_001, ''), /3001 films; the most is 3000 a job/],
    ['one name twice', requestFor(film('a'), film('A')), /"a.mp4" and "A.mp4" would be one file/],
    ['a film that is a folder', requestFor(film('a'), film('a.mp4/b')), /is a folder of/],
    ['a film elsewhere', requestFor(film('../a')), /leaves its directory/],
    ['a pattern', requestFor({ ...film('a'), film: '*.mp4' }), /has a \*/],
    ['a name of the farm’s', requestFor({ ...film('a'), film: 'audio.mp4' }), /the farm itself/],
    ['no container', requestFor({ ...film('a'), film: 'a.gif' }), /must end in .mp4/],
    [
      'a likeness that each would have to look for',
      { ...requestFor(film('a')), video: { ...VIDEO, targetSsim: 0.9 } },
      /is for one film/,
    ],
    ['no source', requestFor({ film: 'a.mp4' }), /film "a.mp4" has no source/],
  ])('refuses %s', (_what, request, message) => {
    const plan = folderSteps(request);
    if (plan.state === 'ok') throw new Error('it was taken');
    expect(plan.message).toMatch(message);
    expect(plan.message).not.toMatch(/\n/);
  });
});

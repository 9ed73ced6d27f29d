import { expect, test } from 'vitest';
import { foldedSteps } from '../../../../cli/output/folded-steps.ts';
import { fakeStep } from '../../../support/fake-farm.ts';

const steps = [
  fakeStep('encode-0', { total: 3, accepted: 2, leased: 1 }),
  fakeStep('encode-1', { total: 0, known: false }),
  fakeStep('results', { blocked: 1 }),
];

test("a folder's steps are shown by what they do", () => {
  const folded = foldedSteps({ recipe: 'folder', steps });
  expect(folded.map(({ name }) => name)).toEqual(['encode', 'results']);
  expect(folded[0]).toMatchObject({ total: 3, accepted: 2, leased: 1, known: false });
});

test("another job's are its own", () => {
  expect(foldedSteps({ recipe: 'steps', steps })).toBe(steps);
});

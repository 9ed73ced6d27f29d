import { expect, test } from 'vitest';
import { syncsReplicas } from '../../../../coordinator/journal/durability.ts';

test.each(['2.10.23', '2.10.27', '2.11.0', '2.15.1', '2.15.0-RC.1', '3.0.0'])('%s', (version) => {
  expect(syncsReplicas(version)).toBe(true);
});

test.each(['2.10.0', '2.10.22', '2.9.25', '1.99.99'])('not %s', (version) => {
  expect(syncsReplicas(version)).toBe(false);
});

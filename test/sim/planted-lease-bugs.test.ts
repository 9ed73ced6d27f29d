/** The simulator bites: each planted bug is found within the stated number of seeds, by the right check. */
import { expect, test } from 'vitest';
import { hunt, LEASE_BUGS } from './planted-bugs.ts';

test.each(LEASE_BUGS)('found: $name', async (bug) => {
  expect(await hunt(bug)).toMatch(bug.found);
});

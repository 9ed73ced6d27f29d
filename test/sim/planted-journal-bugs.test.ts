/** The simulator bites: each planted bug is found within the stated number of seeds, by the right check. */
import { expect, test } from 'vitest';
import { hunt, JOURNAL_BUGS } from './planted-bugs.ts';

test.each(JOURNAL_BUGS)('found: $name', async (bug) => {
  expect(await hunt(bug)).toMatch(bug.found);
});

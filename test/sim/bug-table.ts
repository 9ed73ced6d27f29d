/** Hunts planted bugs, and prints which seed finds each, of how many that it is allowed. */
import { afterAll, expect, test } from 'vitest';
import { type Found, hunt, type PlantedBug } from './planted-bug.ts';

const WORDS_SHOWN = 60;

export function testPlantedBugs(bugs: readonly PlantedBug[]): void {
  const found = new Map<PlantedBug, Found | undefined>();
  test.each(bugs)('found: $name', async (bug) => {
    const first = await hunt(bug);
    found.set(bug, first);
    expect(first?.message).toMatch(bug.found);
  });
  afterAll(() => {
    const width = Math.max(...bugs.map(({ name }) => name.length));
    const lines = bugs.map((bug) => {
      const { seed, message } = found.get(bug) ?? { seed: '-', message: 'not found' };
      const seeds = `${String(seed).padStart(4)} of ${String(bug.withinSeeds).padStart(2)}`;
      return `${bug.name.padEnd(width)}  ${seeds}  ${message.slice(0, WORDS_SHOWN)}`;
    });
    console.log([`${'planted bug'.padEnd(width)}  by seed  found as`, ...lines].join('\n'));
  });
}

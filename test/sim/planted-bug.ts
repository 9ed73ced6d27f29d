/**
 * A bug that others have shipped, as a patch of one module: it takes the module's place, and the rest of
 * the real code runs on top of it.
 */
import { vi } from 'vitest';

export interface PlantedBug {
  readonly name: string;
  readonly module: string;
  readonly plant: () => void;
  /** What the witness says of it. */
  readonly found: RegExp;
  readonly withinSeeds: number;
  /** Needs clocks that are set. */
  readonly setsClocks: boolean;
}

/** `change` is given the real module and answers what takes the place of some of it. */
export function bug<M extends object>(
  name: string,
  module: string,
  change: (real: M) => Partial<M>,
  found: RegExp,
  withinSeeds: number,
  { setsClocks = false } = {},
): PlantedBug {
  const plant = (): void => {
    vi.doMock(module, async (original) => {
      const real = await original<M>();
      return { ...real, ...change(real) };
    });
  };
  return { name, module, plant, found, withinSeeds, setsClocks };
}

export interface Found {
  readonly seed: number;
  /** What the first violation says. */
  readonly message: string;
}

/** Of each seed; seeds.test.ts finds nothing with the first twelve in the code as it is. */
export const STEPS = 8_000;

/** Undefined when so many seeds find nothing. */
export async function hunt(bug: PlantedBug): Promise<Found | undefined> {
  const { plant, module, withinSeeds, setsClocks } = bug;
  plant();
  vi.resetModules();
  try {
    const { simulate } = await import('./simulation.ts');
    for (let seed = 1; seed <= withinSeeds; seed += 1) {
      const { violation } = await simulate({ seed, steps: STEPS, isCutShort: true, setsClocks });
      if (violation !== undefined) return { seed, message: violation.message };
    }
    return undefined;
  } finally {
    vi.doUnmock(module);
    vi.resetModules();
  }
}

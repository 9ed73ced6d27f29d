/** What a unit that looks leaves for the step that joins: its part of the results, and how long they took. */
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';

const timeSchema = z.object({
  pictures: z.number().int().nonnegative(),
  /** Unix time in milliseconds, by the agent's clock. */
  startedAtMs: z.number(),
  endedAtMs: z.number(),
});

export type UnitTime = z.infer<typeof timeSchema>;

/** Sorted by name they are in the order of their units. */
export const PART = /^part-\d{8}\.jsonl$/;
export const TIME = /^time-\d{8}\.json$/;

export function partNames(unit: number): { readonly part: string; readonly time: string } {
  const number = String(unit).padStart(8, '0');
  return { part: `part-${number}.jsonl`, time: `time-${number}.json` };
}

export async function writeTime(
  path: string,
  pictures: number,
  startedAtMs: number,
): Promise<void> {
  const time: UnitTime = { pictures, startedAtMs, endedAtMs: Date.now() };
  await writeFile(path, `${JSON.stringify(time)}\n`);
}

/** Undefined when the text is none. */
export function parseTime(text: string): UnitTime | undefined {
  try {
    return timeSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** What a film was to come out at, and what it did; shown with its proof, and no fault of it. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { filmTimeline } from './film-frames.ts';
import type { FilmPlan } from './film-plan.ts';
import type { PacketHash } from './packet-digest.ts';
import type { Check } from '../../../kit/proof-report.ts';
import { readQuality } from './quality-facts.ts';
import { readRates } from './rate-plan.ts';
import { secondsOf } from './timeline.ts';

export async function aimChecks(
  directory: string,
  plan: FilmPlan,
  packets: readonly PacketHash[],
): Promise<Check[]> {
  const checks: Check[] = [];
  if (await isThere(directory, 'rates.json')) {
    const { bitrateBps } = await readRates(directory);
    const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
    const seconds = secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase);
    const bits = packets.reduce((sum, { sizeBytes }) => sum + sizeBytes * 8, 0);
    const found = Math.round(bits / Math.max(seconds, Number.EPSILON));
    checks.push({ check: 'bits a second of the picture', expected: bitrateBps, found });
  }
  if (await isThere(directory, 'quality.json')) {
    const { targetSsim, crf, ssim } = await readQuality(directory);
    const check = `SSIM of samples, at crf ${crf}`;
    checks.push({ check, expected: targetSsim, found: Number(ssim.toFixed(5)) });
  }
  return checks;
}

function isThere(directory: string, name: string): Promise<boolean> {
  return access(join(directory, name)).then(
    () => true,
    () => false,
  );
}

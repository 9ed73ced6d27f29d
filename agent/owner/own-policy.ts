/** What the owner of this machine has set at it, by flags, environment or its config.json. */
import { z } from 'zod';
import { durationMsOf } from '../../kit/duration.ts';
import { messageOf } from '../../kit/furrow-error.ts';
import { parseHours, type WeeklyWindow } from '../../kit/weekly-hours.ts';
import { faultOfTerms, OPEN_TERMS, type PolicyTerms } from '../../proto/agent-policy.ts';

const duration = z.string().transform((text, context) => {
  const ms = durationMsOf(text);
  if (ms !== undefined) return ms;
  context.addIssue({ code: 'custom', message: 'must be a time such as 90s, 5m or 2h30m' });
  return z.NEVER;
});

const hours = z.string().transform((text, context): WeeklyWindow[] => {
  try {
    return parseHours(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error) });
    return z.NEVER;
  }
});

const percent = z.coerce.number().int().min(1).max(100);

/** Beside the agent's other settings. */
export const OWN_POLICY_SETTINGS = {
  mode: z.enum(['always', 'idle', 'never']).default(OPEN_TERMS.mode),
  onBusy: z.enum(['finish', 'evict']).default(OPEN_TERMS.onBusy),
  grace: duration.default(OPEN_TERMS.graceMs),
  idleAfter: duration.default(OPEN_TERMS.idleAfterMs),
  maxLoadPercent: percent.default(OPEN_TERMS.maxLoadPercent),
  maxGpuPercent: percent.default(OPEN_TERMS.maxGpuPercent),
  hours: hours.default([]),
  timeZone: z.string().default(OPEN_TERMS.timeZone),
  maxVramPercent: z.coerce.number().int().min(0).max(100).default(OPEN_TERMS.maxVramPercent),
};

const settings = z.object(OWN_POLICY_SETTINGS);

/** What is capped by `--cpus` and `--max-units` is so before it is offered. `fault`: one line. */
export function ownTerms(
  own: z.infer<typeof settings>,
  maxBytesPerSecond: number,
): { readonly terms: PolicyTerms; readonly fault: string | undefined } {
  const { mode, onBusy, maxLoadPercent, maxGpuPercent, hours, timeZone, maxVramPercent } = own;
  const terms: PolicyTerms = {
    ...OPEN_TERMS,
    mode,
    onBusy,
    graceMs: own.grace,
    idleAfterMs: own.idleAfter,
    maxLoadPercent,
    maxGpuPercent,
    hours,
    timeZone,
    maxVramPercent,
    maxBytesPerSecond,
  };
  return { terms, fault: faultOfTerms(terms) };
}

export const OWN_POLICY_USAGE = `
The owner's word, which the farm cannot exceed (see also furrow agents policy):
  --mode MODE             always; idle: only while nobody uses the machine; never (default: always)
  --on-busy WHAT          when it closes, running units finish, or evict: they run elsewhere
                          (default: finish)
  --grace TIME            until they are evicted, such as 60s (default: 30s)
  --idle-after TIME       idle when unused for so long (default: 5m)
  --max-load-percent N    busy when others use more of the processors (default: 50)
  --max-gpu-percent N     busy when others use more of a GPU (default: 20)
  --hours WINDOWS         only then, such as 'mon-fri 19:00-07:00; sat,sun 00:00-24:00'
  --time-zone ZONE        of the hours, such as Europe/Berlin (default: this machine's)
  --max-vram-percent N    of each GPU's memory (default: 100)
  --max-bandwidth SIZE    for files from and to the farm, in bytes a second, such as 20MB (default: any)
`;

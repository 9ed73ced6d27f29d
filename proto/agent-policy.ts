/**
 * A policy with everything in it that was not set filled in, as all who act by it want it, and the way from
 * and to the protocol's message. What nobody chose is chosen here and nowhere else.
 */
import {
  BusyAction,
  PolicyMode,
  type AgentPolicy,
  type WeeklyWindow,
} from './gen/furrow/v1/agent_policy.ts';

/** As AgentPolicy says, field by field. */
export interface PolicyTerms {
  readonly mode: 'always' | 'idle' | 'never';
  readonly onBusy: 'finish' | 'evict';
  readonly graceMs: number;
  readonly idleAfterMs: number;
  readonly maxLoadPercent: number;
  readonly maxGpuPercent: number;
  readonly hours: readonly WeeklyWindow[];
  readonly timeZone: string;
  readonly maxCpuMillis: number;
  readonly maxUnits: number;
  readonly maxVramPercent: number;
  readonly maxBytesPerSecond: number;
  readonly pausedUntilMs: number;
}

/** Of a machine about which nobody has said anything. */
export const OPEN_TERMS: PolicyTerms = {
  mode: 'always',
  onBusy: 'finish',
  graceMs: 30_000,
  idleAfterMs: 300_000,
  maxLoadPercent: 50,
  maxGpuPercent: 20,
  hours: [],
  timeZone: '',
  maxCpuMillis: 0,
  maxUnits: 0,
  maxVramPercent: 100,
  maxBytesPerSecond: 0,
  pausedUntilMs: 0,
};

const MODES = {
  always: PolicyMode.POLICY_MODE_ALWAYS,
  idle: PolicyMode.POLICY_MODE_IDLE,
  never: PolicyMode.POLICY_MODE_NEVER,
} as const;

export function policyFromTerms(terms: PolicyTerms): AgentPolicy {
  const isEvicting = terms.onBusy === 'evict';
  return {
    ...terms,
    mode: MODES[terms.mode],
    onBusy: isEvicting ? BusyAction.BUSY_ACTION_EVICT : BusyAction.BUSY_ACTION_FINISH,
  };
}

/** Key by key in one order: what is equal is so byte for byte. */
export function termsOfPolicy(policy: AgentPolicy): PolicyTerms {
  const usual = OPEN_TERMS;
  return {
    mode: modeOf(policy.mode),
    onBusy: policy.onBusy === BusyAction.BUSY_ACTION_EVICT ? 'evict' : 'finish',
    graceMs: policy.graceMs ?? usual.graceMs,
    idleAfterMs: policy.idleAfterMs || usual.idleAfterMs,
    maxLoadPercent: policy.maxLoadPercent || usual.maxLoadPercent,
    maxGpuPercent: policy.maxGpuPercent || usual.maxGpuPercent,
    hours: policy.hours.map(({ days, startMinute, endMinute }) => {
      return { days, startMinute, endMinute };
    }),
    timeZone: policy.timeZone,
    maxCpuMillis: policy.maxCpuMillis,
    maxUnits: policy.maxUnits,
    maxVramPercent: policy.maxVramPercent ?? usual.maxVramPercent,
    maxBytesPerSecond: policy.maxBytesPerSecond,
    pausedUntilMs: policy.pausedUntilMs,
  };
}

/** A mode of a later version is taken for the strictest. */
function modeOf(mode: PolicyMode): PolicyTerms['mode'] {
  switch (mode) {
    case PolicyMode.POLICY_MODE_UNSPECIFIED:
    case PolicyMode.POLICY_MODE_ALWAYS:
      return 'always';
    case PolicyMode.POLICY_MODE_IDLE:
      return 'idle';
    default:
      return 'never';
  }
}

const MOST_HOURS = 64;
const LONGEST_MS = 7 * 24 * 3600 * 1000;
/** Unix time beyond which there are no dates. */
const LATEST_MS = 8.64e15;
/** Below this, transfers that share it would look dead to both sides. */
const LEAST_BYTES_PER_SECOND = 64 * 1024;

/** What is wrong with a policy, in one line that names the field and the remedy; undefined when nothing is. */
export function faultOfTerms(terms: PolicyTerms): string | undefined {
  const { graceMs, idleAfterMs, maxLoadPercent, maxGpuPercent, maxVramPercent, timeZone } = terms;
  const { hours, maxBytesPerSecond, pausedUntilMs } = terms;
  if (graceMs > LONGEST_MS) return 'the grace is longer than a week: give less';
  if (idleAfterMs > LONGEST_MS) return 'the time to become idle is longer than a week: give less';
  const percents = { load: maxLoadPercent, GPU: maxGpuPercent, VRAM: maxVramPercent };
  for (const [name, percent] of Object.entries(percents)) {
    if (percent > 100) return `${percent} % is no share for the ${name}: give 0 to 100`;
  }
  if (pausedUntilMs > LATEST_MS) return 'the pause ends in no year that has a date: give less';
  if (maxBytesPerSecond > 0 && maxBytesPerSecond < LEAST_BYTES_PER_SECOND) {
    return `${maxBytesPerSecond} bytes a second are too few to work with: give 64 KiB or more`;
  }
  if (hours.length > MOST_HOURS) {
    return `${hours.length} windows of hours are too many: give at most ${MOST_HOURS}`;
  }
  return hours.map(faultOfWindow).find((fault) => fault !== undefined) ?? faultOfZone(timeZone);
}

function faultOfWindow({ days, startMinute, endMinute }: WeeklyWindow): string | undefined {
  if (days.length === 0 || days.length > 7 || days.some((day) => day > 6)) {
    return 'a window of hours names no days: give some of 0 (Monday) to 6 (Sunday)';
  }
  if (startMinute > 1439 || endMinute < 1 || endMinute > 1440 || startMinute === endMinute) {
    return `a window of hours from minute ${startMinute} to ${endMinute} is none: give two different ones, 0–1439 and 1–1440`;
  }
  return undefined;
}

function faultOfZone(timeZone: string): string | undefined {
  if (timeZone === '') return undefined;
  try {
    new Intl.DateTimeFormat('en', { timeZone }).format();
    return undefined;
  } catch {
    return `there is no time zone ${JSON.stringify(timeZone.slice(0, 80))}: give an IANA name such as Europe/Berlin`;
  }
}

/** What a dry run says on a screen: a paragraph for each step. */
import type { JobPlan, StepPlan } from '../../proto/gen/furrow/v1/job_service.ts';
import type { Demand } from '../../proto/gen/furrow/v1/step.ts';
import { formatBytes, formatCores, formatCount, formatDuration } from './format.ts';
import type { Style } from './style.ts';
import { printable } from './text-width.ts';
import { wrapText } from './wrap.ts';

/** So many agents are named; --json names all. */
const MOST_NAMES = 6;

export interface Plan {
  readonly name: string;
  readonly plan: JobPlan;
  /** What the farm would choose, a sentence each. */
  readonly notes: readonly string[];
}

export function planLines(
  { name, plan, notes }: Plan,
  style: Style,
  columns: number | undefined,
): string[] {
  const wrapped = (text: string, indent: number): string[] => wrapText(text, columns, indent);
  const isTaken = plan.steps.every(({ missing }) => missing === '');
  const verdict = isTaken ? 'would run' : 'would wait: something is missing';
  return [
    ...wrapped(`${name} ${verdict}; nothing was sent`, 2),
    ...notes.flatMap((note) => wrapped(printable(note), 2)),
    ...plan.steps.flatMap((step) => {
      const [head = '', ...rest] = wrapped(`${step.name}: ${unitWords(step)}`, 2);
      return [
        style.bold(step.name) + head.slice(step.name.length),
        ...rest,
        ...wrapped(`  needs: ${demandWords(step.demand)}`, 4),
        ...wrapped(`  runs on: ${agentWords(step)}`, 4).map((line) =>
          step.missing === '' ? line : style.yellow(line),
        ),
        ...wrapped(`  takes: ${timeWords(step)}`, 4),
      ];
    }),
    ...wrapped(`all of it takes: ${wholeTime(plan)}`, 2),
  ];
}

function unitWords({ known, units, unitsFrom, waitsFor, insteadOf }: StepPlan): string {
  if (insteadOf !== undefined) return `only if ${insteadOf} fails, in its place`;
  const count = known ? formatCount(units, 'unit') : `units known after step ${unitsFrom}`;
  const others = waitsFor.filter((step) => step !== unitsFrom);
  return others.length === 0 ? count : `${count}, after ${others.join(', ')}`;
}

function demandWords(demand: Demand | undefined): string {
  if (demand === undefined) return 'nothing';
  const { cpuMillis, ramBytes, gpus, vramBytes, scratchBytes, encoderSessions, attributes } =
    demand;
  const cores = formatCores(cpuMillis);
  const vram =
    vramBytes > 0 ? ` with ${formatBytes(vramBytes)} VRAM${gpus > 1 ? ' each' : ''}` : '';
  const words = [
    ...(cpuMillis > 0 ? [`${cores} ${cores === '1' ? 'core' : 'cores'}`] : []),
    ...(ramBytes > 0 ? [`${formatBytes(ramBytes)} RAM`] : []),
    ...(gpus > 0 ? [`${formatCount(gpus, 'GPU')}${vram}`] : []),
    ...(scratchBytes > 0 ? [`${formatBytes(scratchBytes)} scratch disk`] : []),
    ...(encoderSessions > 0 ? [formatCount(encoderSessions, 'encoder session')] : []),
    ...attributes,
  ];
  return words.join(', ') || 'nothing';
}

function agentWords({ agentsNow, agentsLater, missing }: StepPlan): string {
  if (missing !== '') return missing;
  const later =
    agentsLater.length === 0
      ? ''
      : `${named(agentsLater)} once ${agentsLater.length === 1 ? 'it has' : 'they have'} room`;
  if (agentsNow.length === 0) return later;
  return later === '' ? named(agentsNow) : `${named(agentsNow)} now; ${later}`;
}

function named(names: readonly string[]): string {
  const more = names.length - MOST_NAMES;
  return more > 0 ? `${names.slice(0, MOST_NAMES).join(', ')} and ${more} more` : names.join(', ');
}

function timeWords({ unitMs, measuredBy, units, takesMs, unknown }: StepPlan): string {
  const each =
    unitMs === undefined
      ? ''
      : `${formatDuration(unitMs)} a unit, ${measuredBy === '' ? 'as others of their kind' : `as in ${measuredBy}`}`;
  if (takesMs === undefined) return each === '' ? `unknown, ${unknown}` : `${each}; ${unknown}`;
  return units === 1 ? each : `${formatDuration(takesMs)}; ${each}`;
}

function wholeTime({ takesMs, unknown }: JobPlan): string {
  return takesMs === undefined
    ? `unknown, ${unknown}`
    : `${formatDuration(takesMs)} if nothing else runs`;
}

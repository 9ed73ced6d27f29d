/**
 * A job's progress as lines for a screen of a given width. Pure; no line is wider than the screen and
 * there are never more lines than it has rows.
 */
import type { Job, StepStatus } from '../../proto/gen/furrow/v1/job_service.ts';
import { formatDuration, formatFraction } from './format.ts';
import { hasEnded, jobStateName } from './names.ts';
import {
  agentName,
  shortUnitId,
  stepOf,
  type ProgressModel,
  type RunningUnit,
} from './progress-model.ts';
import type { Style } from './style.ts';
import { cutText, fitText, printable, textWidth } from './text-width.ts';

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly style: Style;
  /** What Ctrl-C does, in one short line. */
  readonly hint: string;
}

const MAX_BAR_COLUMNS = 30;
/** Keeps the state near the bars on a wide screen. */
const MAX_NAME_COLUMNS = 52;
const MIN_BAR_COLUMNS = 6;
const MAX_RUNNING_LINES = 8;
/** Columns kept free for `4 running` and the like. */
const RESERVED_TAIL = 12;
const WIDE_ENOUGH_FOR_HINT = 60;

export function renderProgress(model: ProgressModel, screen: Screen, nowMs: number): string[] {
  const { job } = model;
  if (job === undefined) return [cutText(`${model.jobId}: waiting for the farm…`, screen.columns)];
  const head = [headerLine(job, screen, nowMs)];
  const foot = footerLines(model, screen, nowMs);
  const room = Math.max(1, screen.rows - head.length - foot.length - 1);
  const steps = stepLines(model, job, screen, room);
  const running = runningLines(model, screen, Math.min(room - steps.length, MAX_RUNNING_LINES));
  return [...head, ...steps, ...running, ...foot];
}

function headerLine(job: Job, { columns, style }: Screen, nowMs: number): string {
  const state = jobStateName(job.state);
  const elapsedMs = (job.endedAtMs || nowMs) - job.submittedAtMs;
  const right = `${state}  ${formatDuration(elapsedMs)}`;
  const nameColumns = columns - textWidth(job.id) - textWidth(right) - 4;
  if (nameColumns < 4) return cutText(`${job.id} ${state}`, columns);
  const name = fitText(printable(job.name), Math.min(nameColumns, MAX_NAME_COLUMNS));
  return `${style.bold(job.id)}  ${name}  ${paintState(job, state, style)}${right.slice(state.length)}`;
}

function paintState(job: Job, state: string, style: Style): string {
  switch (state) {
    case 'succeeded':
      return style.green(state);
    case 'failed':
    case 'cancelled':
      return style.red(state);
    case 'paused':
      return style.yellow(state);
    default:
      return hasEnded(job.state) ? state : style.cyan(state);
  }
}

function stepLines(model: ProgressModel, job: Job, screen: Screen, room: number): string[] {
  const shown = job.steps.length <= room ? job.steps : stepsThatMatter(job.steps, room - 1);
  const nameColumns = Math.min(
    Math.max(...job.steps.map((step) => textWidth(step.name)), 0),
    Math.max(6, Math.floor(screen.columns / 4)),
  );
  const countColumns = Math.max(...job.steps.map((step) => countText(step).length), 0);
  const tailColumns = Math.max(...shown.map((step) => textWidth(stepTail(step))), 0);
  const rest = screen.columns - nameColumns - countColumns - 2;
  // One length for all; it gives way to the words, and is left out when too little would remain.
  const barColumns = Math.min(MAX_BAR_COLUMNS, rest - Math.min(tailColumns, RESERVED_TAIL) - 3);
  const layout = { nameColumns, countColumns, barColumns };
  const lines = shown.map((step) => stepLine(model, step, screen, layout));
  const hidden = job.steps.length - shown.length;
  return hidden > 0 ? [...lines, screen.style.dim(`… and ${hidden} more steps`)] : lines;
}

/** On a screen too low for all: those with something going on first, in the order of the job. */
function stepsThatMatter(steps: readonly StepStatus[], room: number): StepStatus[] {
  const rank = (step: StepStatus): number =>
    step.leased > 0 || step.failed > 0 ? 0 : step.queued > 0 ? 1 : isDone(step) ? 3 : 2;
  const chosen = new Set([...steps].sort((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, room)));
  return steps.filter((step) => chosen.has(step));
}

const isDone = (step: StepStatus): boolean => step.known && step.accepted === step.total;

const countText = (step: StepStatus): string =>
  step.known ? `${step.accepted}/${step.total}` : '?';

interface StepLayout {
  readonly nameColumns: number;
  readonly countColumns: number;
  readonly barColumns: number;
}

function stepLine(
  model: ProgressModel,
  step: StepStatus,
  { columns, style }: Screen,
  { nameColumns, countColumns, barColumns }: StepLayout,
): string {
  const name = fitText(step.name, nameColumns);
  const count = countText(step).padStart(countColumns);
  const bar =
    barColumns < MIN_BAR_COLUMNS
      ? ''
      : `${paintBar(barText(stepFraction(model, step), barColumns, style), step, style)} `;
  const used = nameColumns + 2 + (bar === '' ? 0 : barColumns + 1) + countColumns;
  const words = cutText(stepTail(step), columns - used - 2);
  const idle = step.accepted + step.leased + step.queued + step.failed === 0;
  const label = idle ? style.dim(name) : name;
  return `${label}  ${bar}${count}${words === '' ? '' : `  ${paintTail(step, words, style)}`}`;
}

function stepTail(step: StepStatus): string {
  const words: string[] = [];
  if (step.leased > 0) words.push(`${step.leased} running`);
  if (step.failed > 0) words.push(`${step.failed} failed`);
  if (step.cancelled > 0) words.push(`${step.cancelled} cancelled`);
  if (step.lostAttempts > 0) words.push(`${step.lostAttempts} tried again`);
  return words.join(', ');
}

function paintTail(step: StepStatus, words: string, style: Style): string {
  if (step.failed > 0) return style.red(words);
  return step.lostAttempts > 0 ? style.yellow(words) : style.dim(words);
}

/** Accepted units, and the parts of running ones that are done. */
function stepFraction(model: ProgressModel, step: StepStatus): number {
  if (!step.known || step.total === 0) return step.known ? 1 : 0;
  const best = new Map<string, number>();
  for (const unit of model.running.values()) {
    if (stepOf(unit.unitId) !== step.name) continue;
    best.set(unit.unitId, Math.max(best.get(unit.unitId) ?? 0, unit.fraction));
  }
  const partly = [...best.values()].reduce((sum, fraction) => sum + fraction, 0);
  return Math.min(1, (step.accepted + Math.min(partly, step.leased)) / step.total);
}

/** A bar of exactly `columns`. */
export function barText(fraction: number, columns: number, style: Style): string {
  const [full, empty] = style.unicode ? ['█', '░'] : ['#', '-'];
  const filled = fraction >= 1 ? columns : Math.min(columns - 1, Math.floor(fraction * columns));
  return full.repeat(filled) + empty.repeat(columns - filled);
}

function paintBar(bar: string, step: StepStatus, style: Style): string {
  if (step.failed > 0) return style.red(bar);
  if (isDone(step)) return style.green(bar);
  return step.leased + step.accepted > 0 ? style.cyan(bar) : style.dim(bar);
}

function runningLines(model: ProgressModel, screen: Screen, room: number): string[] {
  const units = [...model.running.values()];
  if (units.length === 0 || room <= 0) return [];
  const shown = units.length <= room ? units : units.slice(0, room - 1);
  const widthOf = (text: (unit: RunningUnit) => string): number =>
    Math.max(0, ...shown.map((unit) => textWidth(text(unit))));
  const idColumns = Math.min(
    widthOf((unit) => shortUnitId(unit.unitId)),
    Math.max(8, Math.floor(screen.columns / 3)),
  );
  const noteColumns = Math.min(
    widthOf((unit) => printable(unit.note)),
    16,
  );
  const lines = shown.map((unit) => runningLine(model, unit, screen, idColumns, noteColumns));
  const hidden = units.length - shown.length;
  return hidden > 0 ? [...lines, screen.style.dim(`  … and ${hidden} more`)] : lines;
}

function runningLine(
  model: ProgressModel,
  unit: RunningUnit,
  { columns, style }: Screen,
  idColumns: number,
  noteColumns: number,
): string {
  const id = fitText(shortUnitId(unit.unitId), idColumns);
  const fraction = formatFraction(unit.fraction).padStart(4);
  const note = noteColumns > 0 ? `  ${fitText(printable(unit.note), noteColumns)}` : '';
  const start = `  ${id}  ${fraction}${note}`;
  const again = unit.attempt > 1 ? `, attempt ${unit.attempt}` : '';
  const agent = cutText(
    `${printable(agentName(model, unit.agentId))}${again}`,
    columns - textWidth(start) - 2,
  );
  const line = cutText(start, columns);
  return agent === '' ? line : `${line}  ${again ? style.yellow(agent) : style.dim(agent)}`;
}

function footerLines(
  model: ProgressModel,
  { columns, style, hint }: Screen,
  nowMs: number,
): string[] {
  if (model.unreachableSinceMs !== undefined) {
    const forMs = Math.floor((nowMs - model.unreachableSinceMs) / 1000) * 1000;
    const text = `no news from the farm for ${formatDuration(forMs)}, trying again…`;
    return [style.yellow(cutText(text, columns))];
  }
  if (columns < WIDE_ENOUGH_FOR_HINT || (model.job && hasEnded(model.job.state))) return [];
  return [style.dim(cutText(hint, columns))];
}

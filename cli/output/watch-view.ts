/**
 * Shows a watched job: drawn over in place on a terminal, plain lines in a pipe, JSON lines with
 * --json, and nothing with --quiet.
 */
import { formatDuration } from './format.ts';
import { watchEventJson } from './json.ts';
import { LiveRegion } from './live-region.ts';
import { foldedSteps } from './folded-steps.ts';
import { jobStateName } from './names.ts';
import type { Output } from './output.ts';
import {
  applyWatchEvent,
  newProgressModel,
  type Notice,
  type ProgressModel,
  type WatchEvent,
} from './progress-model.ts';
import { renderProgress } from './render-progress.ts';
import type { Style } from './style.ts';
import { cutText, printable } from './text-width.ts';

export interface WatchView {
  show(event: WatchEvent): void;
  /** Says something beside the farm's events. */
  say(notice: Notice): void;
  /** Leaves the last picture and gives the terminal back. */
  close(): void;
}

/** A picture a second for the clock, and at most ten for events. */
const CLOCK_MS = 1_000;
const FRAME_MS = 100;
/** In a pipe, counts are worth a line so often at most. */
const PLAIN_LINE_MS = 5_000;

export function openWatchView(
  out: Output,
  jobId: string,
  agentNames: ReadonlyMap<string, string>,
  hint = 'Ctrl-C stops watching; the job goes on.',
): WatchView {
  if (out.json) return jsonView(out);
  if (out.quiet) return { show: () => undefined, say: () => undefined, close: () => undefined };
  const model = newProgressModel(jobId, agentNames);
  return out.terminal ? terminalView(out, model, hint) : plainView(out, model);
}

function jsonView(out: Output): WatchView {
  return {
    show(event) {
      const document = watchEventJson(event);
      if (document) out.jsonLine(document);
    },
    say: ({ text }) => out.jsonLine({ event: 'notice', text }),
    close: () => undefined,
  };
}

function terminalView(out: Output, first: ProgressModel, hint: string): WatchView {
  const terminal = out.terminal!;
  const { style } = out;
  const region = new LiveRegion(terminal);
  let model = first;
  let above: string[] = [];
  let frame: NodeJS.Timeout | undefined;
  const draw = (): void => {
    clearTimeout(frame);
    frame = undefined;
    const { columns, rows } = terminal;
    region.draw(renderProgress(model, { columns, rows, style, hint }, Date.now()), above);
    above = [];
  };
  const clock = setInterval(draw, CLOCK_MS);
  process.stdout.on('resize', draw);
  draw();
  return {
    show(event) {
      const step = applyWatchEvent(model, event, Date.now());
      model = step.model;
      above.push(...step.notices.map((notice) => noticeLine(notice, style, terminal.columns)));
      frame ??= setTimeout(draw, FRAME_MS);
    },
    say(notice) {
      above.push(noticeLine(notice, style, terminal.columns));
      draw();
    },
    close() {
      clearInterval(clock);
      process.stdout.off('resize', draw);
      draw();
      region.close('keep');
    },
  };
}

function noticeLine(notice: Notice, style: Style, columns: number): string {
  return paintNotice(cutText(printable(notice.text), columns), notice, style);
}

function paintNotice(text: string, { tone }: Notice, style: Style): string {
  switch (tone) {
    case 'good':
      return style.green(text);
    case 'warning':
      return style.yellow(text);
    case 'bad':
      return style.red(text);
    case 'plain':
      return text;
  }
}

function plainView(out: Output, first: ProgressModel): WatchView {
  let model = first;
  let lastLine = '';
  let lastLineAtMs = -Infinity;
  let pending: NodeJS.Timeout | undefined;
  const printCounts = (): void => {
    clearTimeout(pending);
    pending = undefined;
    const line = countsLine(model);
    if (line === lastLine || model.job === undefined) return;
    lastLine = line;
    lastLineAtMs = performance.now();
    const elapsedMs = (model.job.endedAtMs || Date.now()) - model.job.submittedAtMs;
    out.line(`${line}  ${formatDuration(elapsedMs)}`);
  };
  return {
    show(event) {
      const step = applyWatchEvent(model, event, Date.now());
      const changedState = step.model.job?.state !== model.job?.state;
      model = step.model;
      for (const notice of step.notices) out.line(printable(notice.text));
      if (changedState) printCounts();
      else pending ??= setTimeout(printCounts, lastLineAtMs + PLAIN_LINE_MS - performance.now());
    },
    say({ text }) {
      printCounts();
      out.line(printable(text));
    },
    close() {
      printCounts();
    },
  };
}

/** `j12 running: split 1/1, encode 5/12 (4 running)`. Steps that have not begun are left out. */
export function countsLine({ jobId, job }: ProgressModel): string {
  if (job === undefined) return jobId;
  const steps = foldedSteps(job)
    .filter((step) => step.accepted + step.leased + step.failed > 0)
    .map((step) => {
      const total = step.known ? String(step.total) : '?';
      const running = step.leased > 0 ? ` (${step.leased} running)` : '';
      const failed = step.failed > 0 ? ` (${step.failed} failed)` : '';
      return `${step.name} ${step.accepted}/${total}${running}${failed}`;
    });
  const head = `${job.id} ${jobStateName(job.state)}`;
  return steps.length === 0 ? head : `${head}: ${steps.join(', ')}`;
}

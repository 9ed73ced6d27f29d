/** What people read: every report as lines. */
import { invitationLines, tokenLines, tokenTable } from './token-text.ts';
import type { Agent, GetStatusResponse } from '../../proto/gen/furrow/v1/farm_service.ts';
import { AgentState, JournalState } from '../../proto/gen/furrow/v1/farm_service.ts';
import {
  JobState,
  UnitState,
  type Job,
  type StepStatus,
  type Unit,
} from '../../proto/gen/furrow/v1/job_service.ts';
import { agentDetails, illGpuLines } from './agent-text.ts';
import { configLines } from './config-text.ts';
import { contextChanged, contextDetails, contextLines } from './context-text.ts';
import { demoLines } from './demo-text.ts';
import { explainLines } from './explain-text.ts';
import { foldedSteps } from './folded-steps.ts';
import type { FetchedFile, Report } from '../report.ts';
import { formatAge, formatBytes, formatCores, formatCount, formatDuration } from './format.ts';
import { sizeLines } from './size-lines.ts';
import {
  agentStateName,
  hasEnded,
  jobStateName,
  journalStateName,
  unitStateName,
} from './names.ts';
import { planLines } from './plan-text.ts';
import { modelLines, modelTable, trialLines } from './model-text.ts';
import { ownerLines, ticketLines } from './sharing-text.ts';
import { policyLines } from './policy-text.ts';
import { proofLines } from './proof-text.ts';
import { resultLines } from './result-lines.ts';
import type { Style } from './style.ts';
import { type Column, renderTable } from './table.ts';
import { printable } from './text-width.ts';

/** `columns` is the terminal's width; undefined in a pipe, where nothing is cut. */
export function linesOf(
  report: Report,
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  switch (report.kind) {
    case 'jobs':
      return jobLines(report.jobs, style, columns, nowMs);
    case 'job':
      return jobDetails(report.job, style, nowMs);
    case 'removed':
      return [`${report.jobId} is removed`];
    case 'units':
      return unitLines(report.units, style, columns);
    case 'explanation':
      return explainLines(report.answer, style, columns, nowMs);
    case 'agents':
      return agentLines(report, style, columns);
    case 'sizes':
      return sizeLines(report.sizes, style, columns);
    case 'agent':
      return agentDetails(report.agent, style, columns);
    case 'status':
      return statusLines(report, style);
    case 'plan':
      return planLines(report, style, columns);
    case 'submitted':
      return [report.job.id];
    case 'changed':
      return [`${report.job.id} ${report.words}`];
    case 'fetched':
      return report.files.map(fileLine);
    case 'demo':
      return demoLines(report, style, columns);
    case 'tokens':
      return tokenTable(report.tokens, style, columns, nowMs);
    case 'token':
      return tokenLines(report, style, nowMs);
    case 'invitation':
      return invitationLines(report, style, nowMs);
    case 'revoked':
      return [`${report.what} ${report.name} is revoked`];
    case 'proofs':
      return proofLines(report.proofs, style, columns);
    case 'results':
      return resultLines(report.films, style, columns);
    case 'tickets':
      return ticketLines(report.tickets, style, columns);
    case 'owners':
      return ownerLines(report.owners, style, columns);
    case 'policy':
      return policyLines(report, style);
    case 'contexts':
      return contextLines(report.contexts, style, columns);
    case 'context':
      return report.words === undefined
        ? contextDetails(report.context, style)
        : [contextChanged(report.context, report.words)];
    case 'context-removed':
      return [`${report.name} is forgotten here`];
    case 'config':
      return configLines(report.settings, style, columns);
    case 'models':
      return modelTable(report.models, style, columns, nowMs);
    case 'model':
      return modelLines(report.model, style);
    case 'model-trials':
      return report.trials.flatMap((trial) => trialLines(report.model, trial, style));
    case 'model-removed':
      return [`model ${report.name} is removed`];
    case 'drained':
      return [
        report.draining
          ? `${report.agent} gets nothing new; what it runs finishes`
          : `${report.agent} takes work again`,
      ];
  }
}

/** `/path/out.mp4  12 MiB`. */
function fileLine(file: FetchedFile): string {
  return `${file.path}  ${formatBytes(file.sizeBytes)}`;
}

function jobLines(
  jobs: readonly Job[],
  style: Style,
  columns: number | undefined,
  nowMs: number,
): string[] {
  if (jobs.length === 0) return ['no jobs'];
  return renderTable(
    jobs,
    [
      { title: 'JOB', cell: (job) => job.id },
      {
        title: 'STATE',
        cell: (job) => jobStateName(job.state),
        paint: (text, job) => paintJobState(text, job.state, style),
      },
      { title: 'UNITS', cell: unitsDone, align: 'right' },
      { title: 'TIME', cell: (job) => jobTime(job, nowMs), align: 'right' },
      { title: 'PRIORITY', cell: (job) => String(job.priority), align: 'right' },
      { title: 'NAME', cell: nameAndReason, flexible: true },
    ],
    style,
    columns,
  );
}

/** So many files of a job are named. */
const MOST_FILES = 40;

/** One job: a line each of what it is, its steps and its files. */
function jobDetails(job: Job, style: Style, nowMs: number): string[] {
  const state = paintJobState(jobStateName(job.state), job.state, style);
  const because = job.reason === '' ? '' : `: ${printable(job.reason)}`;
  const since = `submitted ${formatAge(nowMs - job.submittedAtMs)}`;
  const took = job.endedAtMs === 0 ? 'open for' : 'took';
  const rows: [string, string][] = [
    ['name', printable(job.name)],
    ...(job.owner ? [['owner', printable(job.owner)] as [string, string]] : []),
    ['state', `${state}${because}${job.archived ? ' (archived)' : ''}`],
    ['time', `${since}, ${took} ${jobTime(job, nowMs)}`],
    ...foldedSteps(job).map((step): [string, string] => [`step ${step.name}`, stepWords(step)]),
    ...job.outputs
      .slice(0, MOST_FILES)
      .map((file): [string, string] => [
        'file',
        `${printable(file.name)}  ${formatBytes(file.sizeBytes)}${filesLeft(job, nowMs)}`,
      ]),
    ...otherFiles(job),
  ];
  const width = Math.max(...rows.map(([title]) => title.length));
  return rows.map(([title, text]) => `${style.dim(title.padEnd(width))}  ${text}`);
}

/** A folder's job has thousands. */
function otherFiles({ outputs }: Job): [string, string][] {
  const others = outputs.slice(MOST_FILES);
  if (others.length === 0) return [];
  const bytes = others.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return [['files', `and ${others.length} more, ${formatBytes(bytes)}; --json names all`]];
}

function stepWords(step: StepStatus): string {
  const counts = [
    [step.leased, 'running'],
    [step.failed, 'failed'],
    [step.cancelled, 'cancelled'],
  ] as const;
  const more = counts.flatMap(([count, word]) => (count > 0 ? [`${count} ${word}`] : []));
  const lost = step.lostAttempts > 0 ? [formatCount(step.lostAttempts, 'attempt') + ' lost'] : [];
  const total = step.known ? String(step.total) : '?';
  return [`${step.accepted}/${total}`, ...more, ...lost].join(', ');
}

function filesLeft(job: Job, nowMs: number): string {
  if (job.outputsExpireAtMs === 0) return '';
  const leftMs = job.outputsExpireAtMs - nowMs;
  return leftMs > 0 ? `, kept for ${formatDuration(leftMs)} more` : ', deleted';
}

const nameAndReason = (job: Job): string =>
  job.reason === '' ? job.name : `${job.name}: ${job.reason}`;

/** Accepted of all; `+` while a fan-out is not known yet. */
function unitsDone(job: Job): string {
  const accepted = job.steps.reduce((sum, step) => sum + step.accepted, 0);
  const total = job.steps.reduce((sum, step) => sum + (step.known ? step.total : 0), 0);
  return `${accepted}/${total}${job.steps.every((step) => step.known) ? '' : '+'}`;
}

/** How long it took, or has been taking. */
function jobTime(job: Job, nowMs: number): string {
  return formatDuration((job.endedAtMs || nowMs) - job.submittedAtMs);
}

export function paintJobState(text: string, state: JobState, style: Style): string {
  if (state === JobState.JOB_STATE_SUCCEEDED) return style.green(text);
  if (state === JobState.JOB_STATE_PAUSED) return style.yellow(text);
  return hasEnded(state) ? style.red(text) : style.cyan(text);
}

function unitLines(units: readonly Unit[], style: Style, columns: number | undefined): string[] {
  if (units.length === 0) return ['no units'];
  return renderTable(
    units,
    [
      { title: 'UNIT', cell: (unit) => unit.id },
      {
        title: 'STATE',
        cell: unitState,
        paint: (text, unit) => paintUnitState(text, unit.state, style),
      },
      { title: 'ATTEMPTS', cell: (unit) => String(unit.attempts), align: 'right' },
      { title: 'AGENT', cell: (unit) => unit.agentName || unit.agentId || '-' },
      { title: 'LAST FAILURE', cell: unitFailure, flexible: true },
    ],
    style,
    columns,
  );
}

function unitState(unit: Unit): string {
  const name = unitStateName(unit.state);
  const isUnderWay = unit.state === UnitState.UNIT_STATE_LEASED && unit.fraction > 0;
  return isUnderWay ? `${name} ${Math.floor(unit.fraction * 100)}%` : name;
}

function paintUnitState(text: string, state: UnitState, style: Style): string {
  switch (state) {
    case UnitState.UNIT_STATE_ACCEPTED:
      return style.green(text);
    case UnitState.UNIT_STATE_LEASED:
      return style.cyan(text);
    case UnitState.UNIT_STATE_FAILED:
    case UnitState.UNIT_STATE_CANCELLED:
      return style.red(text);
    default:
      return text;
  }
}

function unitFailure(unit: Unit): string {
  if (unit.failureKind === '') return '';
  return unit.failureMessage === ''
    ? unit.failureKind
    : `${unit.failureKind}: ${unit.failureMessage}`;
}

function agentLines(
  { agents, coordinatorVersion }: Report & { kind: 'agents' },
  style: Style,
  columns: number | undefined,
): string[] {
  if (agents.length === 0) return ['no agents: start one with furrow agent'];
  const table = renderTable(
    agents,
    [
      { title: 'AGENT', cell: (agent) => agent.name || agent.id, flexible: true },
      { title: 'STATE', cell: agentState, paint: (text, agent) => paintAgent(text, agent, style) },
      { title: 'UNITS', cell: (agent) => String(agent.leases), align: 'right' },
      { title: 'CORES', cell: agentCores, align: 'right' },
      { title: 'MEMORY', cell: agentMemory, align: 'right' },
      { title: 'GPU', cell: agentGpus },
      ...versionColumn(agents, coordinatorVersion),
      { title: 'ID', cell: (agent) => agent.id },
    ],
    style,
    columns,
  );
  const closed = agents.flatMap(({ name, id, closedReason }) =>
    closedReason === undefined ? [] : [style.yellow(printable(`${name || id}: ${closedReason}`))],
  );
  return [...table, ...closed, ...illGpuLines(agents, style)];
}

/** Only while the farm is not all of one version. */
function versionColumn(agents: readonly Agent[], coordinatorVersion: string): Column<Agent>[] {
  const areAllOfOne = agents.every(({ version }) => version === coordinatorVersion);
  if (coordinatorVersion === '' || areAllOfOne) return [];
  return [{ title: 'VERSION', cell: ({ version }) => version || '-' }];
}

/** Silence is worth a word only where it is longer than a few beats. */
function agentState(agent: Agent): string {
  const name = agentStateName(agent.state);
  const isSilent =
    agent.state === AgentState.AGENT_STATE_OFFLINE ||
    agent.state === AgentState.AGENT_STATE_SUSPECT;
  if (isSilent) return `${name}, ${formatAge(agent.lastBeatAgeMs)}`;
  return agent.closedReason === undefined ? name : 'closed';
}

function paintAgent(text: string, agent: Agent, style: Style): string {
  const isOpen = agent.closedReason === undefined;
  if (agent.state === AgentState.AGENT_STATE_ONLINE && isOpen) return style.green(text);
  return agent.state === AgentState.AGENT_STATE_OFFLINE ? style.red(text) : style.yellow(text);
}

const agentCores = (agent: Agent): string =>
  agent.capacity
    ? `${formatCores(agent.bookedCpuMillis)}/${formatCores(agent.capacity.cpuMillis)}`
    : '-';

const agentMemory = (agent: Agent): string =>
  agent.capacity
    ? `${formatBytes(agent.bookedRamBytes)}/${formatBytes(agent.capacity.ramTotalBytes)}`
    : '-';

function agentGpus(agent: Agent): string {
  const gpus = agent.capacity?.gpus ?? [];
  if (gpus.length === 0) return '-';
  return gpus
    .map(
      (gpu) => `${gpu.name} ${formatBytes(gpu.vramFreeBytes)}/${formatBytes(gpu.vramTotalBytes)}`,
    )
    .join(', ');
}

function statusLines(report: Report & { kind: 'status' }, style: Style): string[] {
  const { address, context, status } = report;
  const where = context === undefined ? address : `${address} (context ${context})`;
  const agents = `${status.agentsOnline} online of ${status.agentsKnown}`;
  const units = `${formatCount(status.unitsLeased, 'unit')} running, ${status.unitsQueued} waiting`;
  const rows: [string, string][] = [
    ['farm', `${status.farmId} at ${where}, version ${status.version}`],
    status.standby
      ? ['standby', standbyWords(status)]
      : ['agents', status.agentsOnline === 0 ? style.yellow(agents) : agents],
    ['jobs', `${formatCount(status.jobsOpen, 'open job')}, ${units}`],
    ['journal', journalWords(status, style)],
    ['durable', durableWords(status, style)],
    ['blobs', blobWords(status, style)],
  ];
  return [
    ...rows.map(([title, text]) => `${style.dim(title.padEnd(8))} ${text}`),
    ...status.warnings.map((warning) => style.yellow(`warning: ${printable(warning)}`)),
  ];
}

function blobWords(status: GetStatusResponse, style: Style): string {
  const free = `${formatBytes(status.blobDiskFreeBytes)} free on the coordinator's disk`;
  // A coordinator from before stores could be chosen names none.
  if (status.blobStore === '') return `${free}, served at ${status.blobUrl}`;
  const store = printable(status.blobStore);
  const where = status.blobStoreAnswers ? store : style.red(`${store}, which does not answer`);
  return `in ${where}; served at ${status.blobUrl}; ${free}`;
}

function standbyWords(status: GetStatusResponse): string {
  const leader = status.leader === '' ? 'nobody is known to lead' : `${status.leader} leads`;
  return `${leader}; ${formatCount(status.lagCommits, 'commit')} behind`;
}

function journalWords(status: GetStatusResponse, style: Style): string {
  const words = `${journalStateName(status.journal)}, epoch ${status.epoch}, sequence ${status.journalSequence}, nats-server ${status.natsVersion}`;
  return status.journal === JournalState.JOURNAL_STATE_OK ? words : style.red(words);
}

function durableWords(status: GetStatusResponse, style: Style): string {
  const because = status.durability === '' ? '' : `: ${printable(status.durability)}`;
  return status.durable ? `yes${because}` : style.yellow(`not proven${because}`);
}

/** The jobs that clients submit, and what their units write: content that follows from the unit alone. */
import { createHash } from 'node:crypto';
import type { SubmitJobRequest } from '../../proto/gen/furrow/v1/job_service.ts';
import type { File, Step } from '../../proto/gen/furrow/v1/step.ts';
import type { Prng } from '../sim/prng.ts';
import type { JobPlan } from './evidence.ts';

export interface PlannedJob {
  readonly plan: JobPlan;
  readonly request: SubmitJobRequest;
}

const NO_DEMAND = {
  cpuMillis: 0,
  ramBytes: 0,
  gpus: 0,
  vramBytes: 0,
  scratchBytes: 0,
  encoderSessions: 0,
  attributes: [],
  tickets: {},
} as const;

/** A job without films, by chance. */
export function planJob(clientId: string, ledger: string, prng: Prng): PlannedJob {
  const dice = prng.next();
  if (dice < 0.3) return small(clientId, ledger, prng.whole(10, 60));
  if (dice < 0.5) return idle(clientId, prng.whole(100, 600));
  if (dice < 0.65) return kept(clientId, ledger, prng.whole(2, 10));
  if (dice < 0.8) return planSlowJob(clientId, ledger, prng);
  return fanOut(clientId, ledger, prng.whole(2, 4));
}

/** Units that take a while: there is a middle to be killed in, and something to cancel. */
export function planSlowJob(clientId: string, ledger: string, prng: Prng): PlannedJob {
  const units = prng.whole(3, 9);
  const script = inLedger(ledger, `sleep ${prng.whole(1, 6)}`);
  return planned(
    clientId,
    'slow',
    { slow: units },
    ['slow'],
    [step('slow', script, { parameters: count(units) })],
  );
}

export function planFilm(clientId: string, source: File): PlannedJob {
  const video = {
    encoder: 'libx264',
    crf: 30,
    preset: 'superfast',
    width: 0,
    height: 0,
    threads: 1,
  } as const;
  const value = { source, video, audio: undefined, film: 'film.mp4', pieceMs: 1000 };
  const steps = {
    split: 1,
    encode: undefined,
    audio: undefined,
    concat: 1,
    proof: 1,
  };
  return {
    plan: { kind: 'film', steps, inLedger: [], source: source.name },
    request: { clientId, name: clientId, priority: 10, work: { $case: 'transcode', value } },
  };
}

/** SHA-256 of a job's kept output, from its name. */
export function expectedOutput(clientId: string, plan: JobPlan, name: string): string | undefined {
  const index = Number(/^out-(\d+)$/.exec(name)?.[1]);
  switch (plan.kind) {
    case 'kept':
      return sha256(firstContent(clientId, index));
    case 'fan-out':
      // Made of the seed's content: its digest, as sha256sum prints it.
      return sha256(`${sha256(firstContent(clientId, index))}\n`);
    default:
      return undefined;
  }
}

function firstContent(clientId: string, index: number): string {
  return `${sha256(`${clientId} ${index}`)}\n`;
}

function small(clientId: string, ledger: string, units: number): PlannedJob {
  return planned(
    clientId,
    'small',
    { small: units },
    ['small'],
    [step('small', inLedger(ledger, ':'), { parameters: count(units), demand: NO_DEMAND })],
  );
}

/** Through the whole path of grants and results, without a process. */
function idle(clientId: string, units: number): PlannedJob {
  const noop: Partial<Step> = {
    task: { kind: { $case: 'noop', value: {} } },
    parameters: count(units),
    demand: NO_DEMAND,
  };
  return planned(clientId, 'idle', { idle: units }, [], [step('idle', '', noop)]);
}

function kept(clientId: string, ledger: string, units: number): PlannedJob {
  const script = inLedger(ledger, writeContent(clientId, 'out-{index}'));
  return planned(
    clientId,
    'kept',
    { kept: units },
    ['kept'],
    [
      step('kept', script, {
        parameters: count(units),
        outputs: [{ pattern: 'out-*', keep: true, optional: false }],
      }),
    ],
  );
}

/** Each unit of `seed` leaves a file; `grow` has a unit for each of them, and `join` is given all. */
function fanOut(clientId: string, ledger: string, units: number): PlannedJob {
  const grow = `sha256sum < {item} | cut -c 1-64 > "out-$(echo {item} | tr -dc 0-9)"`;
  return planned(
    clientId,
    'fan-out',
    { seed: units, grow: units, join: 1 },
    ['seed', 'grow', 'join'],
    [
      step('seed', inLedger(ledger, writeContent(clientId, 'piece-{index}')), {
        parameters: count(units),
        outputs: [{ pattern: 'piece-*', keep: false, optional: false }],
      }),
      step('grow', inLedger(ledger, grow), {
        dependsOn: ['seed'],
        parameters: {
          kind: { $case: 'forEach', value: { step: 'seed', pattern: 'piece-*' } },
        },
        inputs: [{ kind: { $case: 'item', value: true } }],
        outputs: [{ pattern: 'out-*', keep: true, optional: false }],
      }),
      step('join', inLedger(ledger, `[ "$(ls out-* | wc -l)" = ${units} ]`), {
        dependsOn: ['grow'],
        inputs: [{ kind: { $case: 'outputs', value: { step: 'grow', pattern: 'out-*' } } }],
      }),
    ],
  );
}

function writeContent(clientId: string, name: string): string {
  return `printf '%s' '${clientId} {index}' | sha256sum | cut -c 1-64 > ${name}`;
}

/**
 * Begin and end of the attempt, with the time: the folder's name says which. One short write to a file
 * that is only ever appended to.
 */
function inLedger(ledger: string, script: string): string {
  const line = (what: string): string => `echo "${what} $EPOCHREALTIME \${PWD##*/}" >> '${ledger}'`;
  return `set -e; ${line('begin')}; ${script}; ${line('end')}`;
}

function step(name: string, script: string, more: Partial<Step>): Step {
  return {
    name,
    dependsOn: [],
    parameters: undefined,
    task: { kind: { $case: 'command', value: { argv: ['bash', '-c', script], environment: {} } } },
    inputs: [],
    outputs: [],
    demand: { ...NO_DEMAND, cpuMillis: 300 },
    limits: undefined,
    ...more,
  };
}

function planned(
  clientId: string,
  kind: JobPlan['kind'],
  steps: Readonly<Record<string, number>>,
  inLedger: readonly string[],
  list: readonly Step[],
): PlannedJob {
  return {
    plan: { kind, steps, inLedger },
    request: {
      clientId,
      name: clientId,
      priority: 0,
      work: { $case: 'steps', value: { steps: list } },
    },
  };
}

function count(value: number): Step['parameters'] {
  return { kind: { $case: 'count', value } };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * The recipe `proxy`: a small film to edit with, by the chain that every film goes through, so that it has
 * exactly the source's frames at the source's times. And the same as a part of another recipe's job.
 */
import type { File, StepSpec } from '../domain/task.ts';
import { type Container, containerOf } from './codings.ts';
import { filmChain, pieceScratchBytes } from './film-chain.ts';
import { faultOfOutputName, givenSource, stemOf } from './named-files.ts';
import {
  demand,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface ProxyRequest {
  readonly source?: File | undefined;
  readonly format: string;
  readonly longestSide: number;
  readonly film: string;
  readonly pieceMs: number;
}

/** A proxy of the source besides what a recipe makes. */
export interface WithProxy {
  /** Only of a source of more bytes. */
  readonly overBytes: number;
  readonly format: string;
  readonly longestSide: number;
}

interface ProxyFormat {
  /** That not every ffmpeg is built with. */
  readonly encoder?: string;
  /** The usual one first. */
  readonly containers: readonly Container[];
}

const FORMATS: ReadonlyMap<string, ProxyFormat> = new Map([
  ['h264', { encoder: 'libx264', containers: ['mp4', 'mov', 'mkv'] }],
  ['h264-intra', { encoder: 'libx264', containers: ['mov', 'mp4', 'mkv'] }],
  ['prores', { containers: ['mov', 'mkv'] }],
  ['dnxhr', { containers: ['mov', 'mkv'] }],
  ['mjpeg', { containers: ['mov', 'mkv'] }],
]);

const DEFAULT_LONGEST_SIDE = 960;
const DEFAULT_PIECE_MS = 10_000;

/** What the steps of a proxy that is part of another job are called by. */
const PREFIX = 'proxy-';

export function proxySteps(request: ProxyRequest): RecipePlan {
  const given = givenSource(request.source);
  if (given.state === 'invalid') return given;
  const { source } = given;
  const name = request.format || 'h264';
  const format = FORMATS.get(name);
  if (format === undefined) {
    return invalid(
      `proxy format ${quote(name)} is not known: use ${[...FORMATS.keys()].join(', ')}`,
    );
  }
  const film = request.film || proxyName(source, format);
  const longestSide = request.longestSide || DEFAULT_LONGEST_SIDE;
  const pieceMs = request.pieceMs || DEFAULT_PIECE_MS;
  const fault =
    faultOfProxyName(film, name, format) ??
    (isWhole(longestSide, 64, 8192)
      ? undefined
      : `longest side ${longestSide} is out of range: use 64 to 8192 pixels`) ??
    (isWhole(pieceMs, 500, 3_600_000)
      ? undefined
      : `piece length ${pieceMs} ms is out of range: use 500 to 3600000`);
  if (fault !== undefined) return invalid(fault);
  const { encoder } = format;
  const attributes = ['tool:ffmpeg', ...(encoder === undefined ? [] : [`encoder:${encoder}`])];
  const steps = filmChain({
    source,
    film,
    audio: { encoder: 'aac', bitrateBps: 0 },
    pieceMs,
    timecode: true,
    chunks: {
      name: 'encode',
      task: { $case: 'encodeProxy', value: { format: name, longestSide } },
      inputs: [],
      demand: demand(1000, 768 * MIB, pieceScratchBytes(source), attributes),
      limits: stallsAfter(300_000),
      uniform: 'ffmpeg',
    },
  });
  return { state: 'ok', steps };
}

/**
 * A recipe's plan, and the steps of a proxy of its source, where one is wanted of a source so large. What the
 * recipe does to pieces of the source waits until those of the proxy are encoded: people can begin to edit
 * while the farm works on. `heavy`: those steps of the plan.
 */
export function withProxy(
  plan: RecipePlan,
  source: File | undefined,
  wish: WithProxy | undefined,
  heavy: readonly string[],
): RecipePlan {
  if (plan.state === 'invalid' || source === undefined || wish === undefined) return plan;
  if (source.sizeBytes <= wish.overBytes) return plan;
  const { format, longestSide } = wish;
  const proxy = proxySteps({ source, format, longestSide, film: '', pieceMs: 0 });
  if (proxy.state === 'invalid') return proxy;
  const first = proxy.steps.map((step) => renamed(withReport(step), PREFIX));
  const then = plan.steps.map((step) =>
    heavy.includes(step.name)
      ? { ...step, dependsOn: [...step.dependsOn, `${PREFIX}encode`] }
      : step,
  );
  return { ...plan, steps: [...first, ...then] };
}

/** The same step in a job that has others: all that it names of its own job has the prefix. */
function renamed(step: StepSpec, prefix: string): StepSpec {
  const { parameters, inputs } = step;
  const kind = parameters?.kind;
  return {
    ...step,
    name: prefix + step.name,
    dependsOn: step.dependsOn.map((name) => prefix + name),
    parameters:
      kind?.$case === 'forEach'
        ? { kind: { ...kind, value: { ...kind.value, step: prefix + kind.value.step } } }
        : parameters,
    inputs: inputs.map((input) =>
      input.kind?.$case === 'outputs'
        ? {
            kind: {
              ...input.kind,
              value: { ...input.kind.value, step: prefix + input.kind.value.step },
            },
          }
        : input,
    ),
  };
}

/** The job's own proof is called `proof.json`. */
function withReport(step: StepSpec): StepSpec {
  const kind = step.task?.kind;
  if (kind?.$case !== 'proveFilm') return step;
  const report = `${kind.value.film}.proof.json`;
  return {
    ...step,
    task: { kind: { ...kind, value: { ...kind.value, report } } },
    outputs: [keptOutput(report)],
  };
}

function faultOfProxyName(film: string, name: string, format: ProxyFormat): string | undefined {
  const shown = `the proxy's name ${quote(film)}`;
  const fault = faultOfOutputName(film);
  if (fault !== undefined) return `${shown} ${fault}`;
  const container = containerOf(film);
  return container !== undefined && format.containers.includes(container)
    ? undefined
    : `${shown} must end in .${format.containers.join(', .')}, which is what ${name} goes into`;
}

/** `clips/holiday.mts` → `holiday-proxy.mp4`. */
function proxyName(source: File, { containers }: ProxyFormat): string {
  return `${stemOf(source.name)}-proxy.${containers[0]}`;
}

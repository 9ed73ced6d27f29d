/** Whether a DAG can be run at all; the first thing that is wrong, in one line. */
import { ticketsOf } from './demand.ts';
import { faultOfFileList } from './file-lists.ts';
import { namesInInferTask } from './infer-tasks.ts';
import { fixedUnitCount, orderOf } from './farm.ts';
import { montageNamesIn } from './montage-tasks.ts';
import type { ModelUse } from './model.ts';
import { faultOfName, isSha256, isStepName, isTicketName } from './names.ts';
import { faultOfPlace, type Places } from './places.ts';
import { quote } from './quote.ts';
import type { File, StepSpec, TaskKind } from './task.ts';

const MAX_STEPS = 20_000;
/** Of a job: their tables are made at once, and must fit into memory. */
const MAX_UNITS = 10_000_000;

/** The first fault of a job's steps, or undefined. */
export function faultOfSteps(steps: readonly StepSpec[]): string | undefined {
  if (steps.length === 0) return 'the job has no steps: give at least one';
  if (steps.length > MAX_STEPS)
    return `the job has ${steps.length} steps; the most is ${MAX_STEPS}`;
  const names = new Set<string>();
  for (const step of steps) {
    if (!isStepName(step.name)) {
      return `step name ${quote(step.name)}: use 1–64 letters, digits, - and _`;
    }
    if (names.has(step.name)) return `two steps are named ${quote(step.name)}: rename one`;
    names.add(step.name);
  }
  for (const step of steps) {
    const fault = faultOfStep(step, names);
    if (fault !== undefined) return `step ${step.name}: ${fault}`;
  }
  return faultOfStandIns(steps) ?? faultOfSize(steps) ?? faultOfOrder(steps);
}

function faultOfSize(steps: readonly StepSpec[]): string | undefined {
  const units = steps.reduce((sum, step) => sum + (fixedUnitCount(step.parameters?.kind) ?? 0), 0);
  if (units <= MAX_UNITS) return undefined;
  return `the job has ${units} units; the most is ${MAX_UNITS}: submit several jobs`;
}

function faultOfStep(step: StepSpec, names: ReadonlySet<string>): string | undefined {
  for (const name of step.dependsOn) {
    if (!names.has(name)) return `depends on ${quote(name)}, which is no step of this job`;
  }
  return (
    faultOfStandIn(step, names) ??
    faultOfTask(step) ??
    faultOfParameters(step, names) ??
    faultOfInputs(step, names) ??
    faultOfDemand(step) ??
    faultOfOutputs(step)
  );
}

function faultOfStandIn(
  { name, insteadOf, inputs }: StepSpec,
  names: ReadonlySet<string>,
): string | undefined {
  if (insteadOf === undefined) return undefined;
  if (insteadOf === name) return 'stands in for itself: name another';
  if (!names.has(insteadOf))
    return `stands in for ${quote(insteadOf)}, which is no step of this job`;
  const takes = inputs.some(
    ({ kind }) => kind?.$case === 'outputs' && kind.value.step === insteadOf,
  );
  return takes
    ? `takes outputs of ${insteadOf}, for which it stands in: there may be none`
    : undefined;
}

/** Each step has one stand-in at most, and those have none. */
function faultOfStandIns(steps: readonly StepSpec[]): string | undefined {
  const standIns = new Map<string, string>();
  for (const { name, insteadOf } of steps) {
    if (insteadOf === undefined) continue;
    const other = standIns.get(insteadOf);
    if (other !== undefined) return `steps ${other} and ${name} both stand in for ${insteadOf}`;
    standIns.set(insteadOf, name);
  }
  for (const [original, name] of standIns) {
    const by = standIns.get(name);
    if (by !== undefined)
      return `step ${by} stands in for ${name}, which stands in for ${original}`;
  }
  return undefined;
}

function faultOfTask(step: StepSpec): string | undefined {
  const task = step.task?.kind;
  if (task === undefined) return 'has no task: say what it does';
  if (task.$case === 'command' && (task.value.argv[0] ?? '') === '') {
    return 'its command names no program';
  }
  for (const name of namesIn(task)) {
    const fault = faultOfName(name);
    if (fault !== undefined) return `its task names the file ${quote(name)}, which ${fault}`;
  }
  return undefined;
}

/** Files in the unit's directory that a task names. */
function namesIn(task: TaskKind): readonly string[] {
  switch (task.$case) {
    case 'split':
    case 'audio':
    case 'takeThumbnails':
    case 'findQuality':
      return [task.value.source];
    case 'extractSound':
      return [task.value.source, task.value.sound];
    case 'surveyClips':
      return task.value.clips.map(({ source }) => source);
    case 'concat':
      return namesOf(task.value.source, task.value.film);
    case 'proveFilm':
      return namesOf(task.value.source, task.value.film, task.value.report);
    case 'inferPictures':
    case 'inferFrames':
    case 'joinResults':
    case 'proveResults':
      return namesInInferTask(task);
    case 'tabulate':
      return [task.value.proofs];
    case 'scanScene':
    case 'renderFrames':
      return [task.value.file];
    case 'filmFrames':
      return [task.value.film];
    case 'proveRender':
      return namesOf(task.value.film);
    case 'packageFilms':
    case 'provePackage':
      return [task.value.name, ...task.value.films.map(({ film }) => film)];
    case 'command':
    case 'noop':
    case 'encode':
    case 'encodeProxy':
    case 'detectMotion':
    case 'smoothMotion':
    case 'proveThumbnails':
    case 'proveSound':
    case 'normaliseClip':
    case 'joinSounds':
    case 'measure':
    case 'planRates':
      return [];
    case 'analyzeClip':
    case 'analyzeMusic':
    case 'planCuts':
    case 'takePieces':
    case 'renderShot':
    case 'enlargeShot':
    case 'makeProxy':
    case 'joinMontage':
    case 'proveMontage':
      return montageNamesIn(task);
    case 'interpolate':
    case 'upscale':
    case 'upscaleImages':
    case 'checkModel':
      return fileOf(task.value.use);
  }
}

/** A film that is made of many has no one source. */
function namesOf(...names: readonly (string | undefined)[]): readonly string[] {
  return names.filter((name) => name !== undefined && name !== '') as readonly string[];
}

function fileOf(use: ModelUse | undefined): readonly string[] {
  return use?.model === undefined ? [] : [use.model.file];
}

function faultOfParameters(step: StepSpec, names: ReadonlySet<string>): string | undefined {
  const kind = step.parameters?.kind;
  switch (kind?.$case) {
    case undefined:
      return undefined;
    case 'count':
      if (kind.value >= 1 && kind.value <= MAX_UNITS) return undefined;
      return `has a count of ${kind.value}; it must be from 1 to ${MAX_UNITS}`;
    case 'values':
      return kind.value.values.length > 0 ? undefined : 'has an empty list of values';
    case 'forEach':
      return names.has(kind.value.step)
        ? faultOfPattern(kind.value.pattern)
        : `fans out over ${quote(kind.value.step)}, which is no step of this job`;
    case 'fileList':
      return faultOfFileList(kind.value);
  }
}

function faultOfInputs(step: StepSpec, names: ReadonlySet<string>): string | undefined {
  const places: Places = new Map();
  for (const input of step.inputs) {
    switch (input.kind?.$case) {
      case undefined:
        return 'has an input of no kind';
      case 'file': {
        const { name } = input.kind.value;
        const fault = faultOfFile(input.kind.value) ?? faultOfPlace(name, places);
        if (fault !== undefined) return fault;
        break;
      }
      case 'outputs': {
        const { step: producer, pattern } = input.kind.value;
        if (!names.has(producer)) {
          return `takes outputs of ${quote(producer)}, which is no step of this job`;
        }
        const fault = faultOfPattern(pattern);
        if (fault !== undefined) return fault;
        break;
      }
      case 'item':
        if (step.parameters?.kind?.$case !== 'forEach') {
          return 'takes its fan-out input, but does not fan out over a step';
        }
    }
  }
  return undefined;
}

function faultOfDemand({ demand }: StepSpec): string | undefined {
  if (demand === undefined) return undefined;
  for (const [name, count] of ticketsOf(demand)) {
    if (!isTicketName(name))
      return `demands a ticket ${quote(name)}, which can be no ticket's name`;
    if (!Number.isSafeInteger(count)) return `demands ${count} of ticket ${quote(name)}`;
  }
  if (demand.wholeGpus === true && demand.gpus === 0) {
    return 'asks for whole GPUs, but for none: say how many (gpus), such as 1';
  }
  if (demand.vramBytes === 0 || demand.gpus > 0) return undefined;
  return `asks for ${demand.vramBytes} bytes of VRAM on no GPU: say how many (gpus), such as 1`;
}

function faultOfOutputs(step: StepSpec): string | undefined {
  for (const output of step.outputs) {
    const fault = faultOfPattern(output.pattern);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** The first fault of a file that somebody names, or undefined. */
export function faultOfFile(file: File): string | undefined {
  const fault = faultOfName(file.name);
  if (fault !== undefined) return `file name ${quote(file.name)} ${fault}`;
  if (!isSha256(file.sha256)) {
    return `file ${quote(file.name)}: sha256 must be 64 lower-case hexadecimal digits`;
  }
  return undefined;
}

function faultOfPattern(pattern: string): string | undefined {
  const fault = faultOfName(pattern);
  return fault === undefined ? undefined : `pattern ${quote(pattern)} ${fault}`;
}

function faultOfOrder(steps: readonly StepSpec[]): string | undefined {
  const { dependencies, dependents } = orderOf(steps);
  const done = new Set<number>();
  const waitsFor = dependencies.map(({ length }) => length);
  const next = [...steps.keys()].filter((index) => waitsFor[index] === 0);
  for (let step = next.pop(); step !== undefined; step = next.pop()) {
    done.add(step);
    for (const index of dependents[step] ?? []) {
      waitsFor[index] = (waitsFor[index] ?? 0) - 1;
      if (waitsFor[index] === 0) next.push(index);
    }
  }
  if (done.size === steps.length) return undefined;
  const circle = steps.filter((_, index) => !done.has(index)).map(({ name }) => name);
  if (circle.length === 1) return `step ${circle[0]} waits for itself: break the circle`;
  return `steps ${circle.slice(0, 5).join(', ')} wait for one another in a circle: break it`;
}

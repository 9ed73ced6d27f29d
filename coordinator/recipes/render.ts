/**
 * The recipe `render`: look into the Blender file → render its frames, some in each unit → a film of them,
 * where one is wanted → prove. Pure: what the file holds is the scan unit's to find out.
 */
import { faultOfName } from '../domain/names.ts';
import type { FrameRange, RenderSettings } from '../domain/render-tasks.ts';
import type { Demand, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { containerOf, ENCODERS } from './codings.ts';
import {
  baseName,
  demand,
  fileInput,
  invalid,
  isWhole,
  keptOutput,
  MIB,
  output,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';
import { usualCpus } from './usual-cpus.ts';

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface RenderRequest {
  readonly scene?: File | undefined;
  /** Under their names as seen from the Blender file. */
  readonly assets: readonly File[];
  readonly frames: readonly FrameRange[];
  readonly settings?: RenderSettings | undefined;
  readonly framesPerUnit: number;
  /** Empty for frames alone. */
  readonly film: string;
  readonly video?: VideoEncoding | undefined;
  /** Frames a second as a fraction; empty for the scene's. */
  readonly frameRate: string;
  readonly cpus: number;
  readonly ramBytes: number;
  readonly gpus: number;
  readonly vramBytes: number;
}

const ENGINES = ['cycles', 'eevee', 'workbench'];
const FORMATS = ['png', 'jpeg', 'exr'];
const MAX_SIDE = 16_384;
const MAX_SAMPLES = 1_000_000;
/** Blender's own. */
const MAX_FRAME = 1_048_574;
const MAX_RANGES = 1000;
const MAX_FRAMES_PER_UNIT = 1000;
const MAX_ASSETS = 2000;
const DEFAULT_CRF = 18;
const BLENDER = ['tool:blender', 'command:blender'];
const FFMPEG = ['tool:ffmpeg'];

/** Names that the runners use in a unit's directory. */
const RESERVED = /^(scene\.json|proof\.json|seal-film\.json|(frames?|picture|thumbs)-.*)$/i;

/** `mostCpus`: see `usualCpus`. */
export function renderSteps(request: RenderRequest, mostCpus = 0): RecipePlan {
  const { scene } = request;
  if (scene === undefined) return invalid('scene is missing: name an uploaded Blender file');
  const file = { ...scene, name: baseName(scene.name) };
  const settings = withDefaults(request);
  const fault =
    faultOfFile(file) ??
    faultOfAssets(request.assets, file.name) ??
    faultOfSettings(settings, request.gpus) ??
    faultOfFrames(request) ??
    faultOfFilm(request, settings, file.name) ??
    faultOfDemand(request);
  if (fault !== undefined) return invalid(fault);
  const wanted = { ...request, file, settings, threads: request.cpus || usualCpus(mostCpus) };
  return { state: 'ok', steps: buildSteps(wanted) };
}

function withDefaults({ settings, gpus }: RenderRequest): RenderSettings {
  return {
    scene: settings?.scene ?? '',
    engine: settings?.engine ?? '',
    samples: settings?.samples ?? 0,
    width: settings?.width ?? 0,
    height: settings?.height ?? 0,
    format: settings?.format || 'png',
    gpu: gpus > 0,
  };
}

function faultOfFile({ name, sizeBytes }: File): string | undefined {
  const fault = faultOfName(name);
  if (fault !== undefined) return `the file's name ${fault}`;
  if (!name.toLowerCase().endsWith('.blend'))
    return `${name} is no Blender file: it ends in .blend`;
  return sizeBytes === 0 ? `${name} is empty` : undefined;
}

function faultOfAssets(assets: readonly File[], file: string): string | undefined {
  if (assets.length > MAX_ASSETS) {
    return `${assets.length} assets are more than ${MAX_ASSETS}: pack them into the file`;
  }
  const names = new Set([file]);
  for (const { name } of assets) {
    const fault =
      faultOfName(name) ?? (RESERVED.test(name) ? 'is one that the farm uses' : undefined);
    if (fault !== undefined) return `the asset's name ${quote(name)} ${fault}`;
    if (names.has(name)) return `two files are called ${quote(name)}`;
    names.add(name);
  }
  return undefined;
}

function faultOfSettings(settings: RenderSettings, gpus: number): string | undefined {
  const { engine, format, samples, width, height } = settings;
  if (engine !== '' && !ENGINES.includes(engine)) {
    return `engine ${quote(engine)} is not known: use ${ENGINES.join(', ')}`;
  }
  if (gpus > 0 && engine !== 'cycles' && engine !== '') {
    return `${engine} does not render on a farm's GPUs: use cycles, or no --gpus`;
  }
  if (!FORMATS.includes(format)) {
    return `format ${quote(format)} is not known: use ${FORMATS.join(', ')}`;
  }
  if (!isWhole(samples, 0, MAX_SAMPLES)) return `samples ${samples} must be at most ${MAX_SAMPLES}`;
  for (const [name, side] of Object.entries({ width, height })) {
    const fits = side === 0 || isWhole(side, 4, MAX_SIDE);
    if (!fits) return `${name} ${side} must be from 4 to ${MAX_SIDE}; 0 takes the file's`;
  }
  return undefined;
}

function faultOfFrames({ frames, framesPerUnit }: RenderRequest): string | undefined {
  if (frames.length > MAX_RANGES)
    return `${frames.length} ranges of frames are more than ${MAX_RANGES}`;
  for (const { first, last, step } of frames) {
    if (isWhole(first, 0, last) && isWhole(last, 0, MAX_FRAME) && step >= 0) continue;
    return `frames ${first}-${last} must go up, and not beyond ${MAX_FRAME}`;
  }
  return isWhole(framesPerUnit, 0, MAX_FRAMES_PER_UNIT)
    ? undefined
    : `frames for each unit: ${framesPerUnit} is more than ${MAX_FRAMES_PER_UNIT}`;
}

function faultOfFilm(
  request: RenderRequest,
  settings: RenderSettings,
  file: string,
): string | undefined {
  const { film, frameRate } = request;
  if (film === '') return undefined;
  const fault = faultOfName(film);
  if (fault !== undefined) return `the film's name ${quote(film)} ${fault}`;
  const container = containerOf(film);
  if (film.includes('/') || container === undefined) {
    return `the film's name ${quote(film)} must be a name that ends in .mp4, .mov, .mkv or .webm`;
  }
  if (film === file || RESERVED.test(film)) return `the film cannot be called ${quote(film)}`;
  if (settings.format === 'exr') return 'a film is made of png or jpeg frames, not of exr';
  if (frameRate !== '' && !/^[1-9]\d{0,6}\/[1-9]\d{0,6}$/.test(frameRate)) {
    return `frame rate ${quote(frameRate)} must be a fraction such as 24/1 or 30000/1001`;
  }
  const { encoder, crf, preset } = videoOf(request);
  const rule = ENCODERS.get(encoder);
  if (rule === undefined) {
    return `video encoder ${quote(encoder)} is not known: use ${[...ENCODERS.keys()].join(', ')}`;
  }
  if (!rule.containers.includes(container)) {
    return `.${container} does not take ${encoder}: use ${rule.containers.join(', ')}`;
  }
  if (!isWhole(crf, 1, rule.maxCrf)) return `crf ${crf} must be from 1 to ${rule.maxCrf}`;
  return rule.presets.includes(preset)
    ? undefined
    : `preset ${quote(preset)} is not one of ${encoder}: use ${rule.presets.join(', ')}`;
}

function faultOfDemand({ cpus, gpus, vramBytes }: RenderRequest): string | undefined {
  if (!isWhole(cpus, 0, 1024)) return `cpus ${cpus} must be a whole number up to 1024`;
  if (!isWhole(gpus, 0, 64)) return `gpus ${gpus} must be a whole number up to 64`;
  return vramBytes > 0 && gpus === 0
    ? 'memory of GPUs is asked for, but no GPU: say how many'
    : undefined;
}

function videoOf({ film, video }: RenderRequest): VideoEncoding {
  const encoder =
    video?.encoder || (film.toLowerCase().endsWith('.webm') ? 'libvpx-vp9' : 'libx264');
  const rule = ENCODERS.get(encoder);
  return {
    encoder,
    crf: video?.crf || (rule?.defaultCrf === undefined ? 0 : Math.min(DEFAULT_CRF, rule.maxCrf)),
    preset: video?.preset || (rule?.defaultPreset ?? ''),
    width: 0,
    height: 0,
    threads: video?.threads ?? 0,
  };
}

interface Wanted extends RenderRequest {
  readonly file: File;
  readonly settings: RenderSettings;
  /** Of units that use as many as they get. */
  readonly threads: number;
}

/** A frame and its film lie beside the file for a while; so large that no usual frame is larger. */
const FRAME_BYTES = 64 * MIB;

function buildSteps(wanted: Wanted): readonly StepSpec[] {
  const steps = [scanStep(wanted), renderStep(wanted)];
  if (wanted.film !== '') steps.push(filmStep(wanted));
  return [...steps, proofStep(wanted)];
}

function scanStep({ file, assets, settings, frames, framesPerUnit }: Wanted): StepSpec {
  return {
    name: 'scan',
    dependsOn: [],
    parameters: undefined,
    limits: stallsAfter(600_000),
    task: {
      kind: { $case: 'scanScene', value: { file: file.name, settings, frames, framesPerUnit } },
    },
    inputs: [file, ...assets].map(fileInput),
    outputs: [output('scene.json'), output('frames-*')],
    demand: demand(1000, 512 * MIB, bytesOf(file, assets), BLENDER),
  };
}

function renderStep(wanted: Wanted): StepSpec {
  const { file, assets, settings, framesPerUnit } = wanted;
  return {
    name: 'render',
    dependsOn: ['scan'],
    parameters: { kind: { $case: 'forEach', value: { step: 'scan', pattern: 'frames-*' } } },
    // The first frame of a heavy scene may take long to prepare; then each sample is a sign of life.
    limits: stallsAfter(1_800_000),
    // Two versions may not render alike.
    uniform: 'blender',
    task: { kind: { $case: 'renderFrames', value: { file: file.name, settings } } },
    inputs: [{ kind: { $case: 'item', value: true } }, ...[file, ...assets].map(fileInput)],
    outputs: [keptOutput('frame-*')],
    demand: {
      ...renderDemand(wanted),
      scratchBytes: bytesOf(file, assets) + Math.max(1, framesPerUnit) * FRAME_BYTES,
    },
  };
}

function renderDemand({ cpus, threads, gpus, ramBytes, vramBytes }: Wanted): Demand {
  const cpuMillis = (cpus || (gpus > 0 ? 1 : threads)) * 1000;
  return {
    // A look at the frames needs ffmpeg.
    ...demand(cpuMillis, ramBytes || 1024 * MIB, 0, [...BLENDER, ...FFMPEG]),
    gpus,
    vramBytes: gpus === 0 ? 0 : vramBytes || 2048 * MIB,
  };
}

function filmStep(wanted: Wanted): StepSpec {
  const { film, frameRate, threads } = wanted;
  const video = videoOf(wanted);
  return {
    name: 'film',
    dependsOn: ['scan', 'render'],
    parameters: undefined,
    limits: stallsAfter(600_000),
    task: { kind: { $case: 'filmFrames', value: { film, video, frameRate } } },
    inputs: [outputsOf('scan', 'scene.json'), outputsOf('render', 'frame-*')],
    outputs: [keptOutput(film), output('seal-film.json')],
    demand: demand(threads * 1000, 1024 * MIB, 1024 * MIB, [...FFMPEG, `encoder:${video.encoder}`]),
  };
}

function proofStep({ film }: Wanted): StepSpec {
  const hasFilm = film !== '';
  return {
    name: 'proof',
    dependsOn: ['scan', 'render', ...(hasFilm ? ['film'] : [])],
    parameters: undefined,
    limits: stallsAfter(600_000),
    task: { kind: { $case: 'proveRender', value: { film } } },
    inputs: [
      outputsOf('scan', 'scene.json'),
      outputsOf('render', 'frame-*'),
      ...(hasFilm ? [outputsOf('film', film), outputsOf('film', 'seal-film.json')] : []),
    ],
    outputs: [keptOutput('proof.json')],
    demand: demand(1000, 512 * MIB, 1024 * MIB, FFMPEG),
  };
}

function bytesOf(file: File, assets: readonly File[]): number {
  return assets.reduce((sum, { sizeBytes }) => sum + sizeBytes, file.sizeBytes);
}

import { basename, extname, relative, resolve, sep, dirname } from 'node:path';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import type { FrameRange } from '../../../proto/gen/furrow/v1/task_render.ts';
import { defineCommand } from '../../command.ts';
import { checkSource, type LocalFile } from '../../local-files.ts';
import { bytes, frameSize, type FrameSize, integerIn, oneOf, repeated } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface RenderOptions extends SubmitOptions {
  readonly frames?: readonly FrameRange[];
  readonly film?: string;
  readonly framesOnly?: boolean;
  readonly engine?: string;
  readonly samples?: number;
  readonly size?: FrameSize;
  readonly scene?: string;
  readonly format?: string;
  readonly asset?: readonly string[];
  readonly framesPerUnit?: number;
  readonly fps?: string;
  readonly encoder?: string;
  readonly crf?: number;
  readonly cpus?: number;
  readonly ram?: number;
  readonly gpus?: number;
  readonly vram?: number;
}

export const render = defineCommand<RenderOptions>({
  name: 'render',
  summary: 'render a Blender file, its frames on all agents at once',
  description:
    'Renders frames of a Blender file, each on whichever agent has Blender and room, and makes a film of them. Files that the scene names must be packed into it, or given with --asset. Scripts inside the file do not run.',
  arguments: [{ syntax: '<file>', help: 'the Blender file' }],
  options: [
    {
      flags: '--frames <ranges>',
      help: 'such as 1-250, or 1,5,10-20, or 1-100:10 for every tenth (default: those of the file)',
      parse: frameRanges,
    },
    {
      flags: '--film <name>',
      help: "name of the film; .mp4, .mov, .mkv, .webm chooses the container (default: the file's, .mp4)",
    },
    { flags: '--frames-only', help: 'make no film' },
    {
      flags: '--engine <name>',
      help: "cycles, eevee or workbench (default: the file's)",
      parse: oneOf('cycles', 'eevee', 'workbench'),
    },
    {
      flags: '--samples <n>',
      help: "for each pixel (default: the file's)",
      parse: integerIn(1, 1_000_000),
    },
    {
      flags: '--size <WxH>',
      help: "of a frame, such as 1920x1080 (default: the file's)",
      parse: frameSize,
    },
    {
      flags: '--scene <name>',
      help: 'of several in the file (default: the one that was saved as active)',
    },
    {
      flags: '--format <name>',
      help: 'of the frames: png, jpeg or exr (default: png)',
      parse: oneOf('png', 'jpeg', 'exr'),
    },
    {
      flags: '--asset <file>',
      help: 'a texture or other file that the scene names, beside or below it; may be repeated',
      parse: repeated,
    },
    {
      flags: '--frames-per-unit <n>',
      help: 'frames that an agent renders in one go (default: 1)',
      parse: integerIn(1, 1000),
    },
    {
      flags: '--fps <n>',
      help: "of the film, such as 24 or 30000/1001 (default: the scene's)",
      parse: frameRate,
    },
    { flags: '--encoder <name>', help: "the film's encoder (default: libx264)" },
    {
      flags: '--crf <n>',
      help: "the film's quality, smaller is better (default: 18)",
      parse: integerIn(1, 63),
    },
    {
      flags: '--cpus <n>',
      help: 'processors for each unit (default: 2; 1 where no agent has more)',
      parse: integerIn(1, 1024),
    },
    {
      flags: '--ram <size>',
      help: 'memory for each unit (default: 1 GiB, and what was learned)',
      parse: bytes,
    },
    {
      flags: '--gpus <n>',
      help: 'GPUs for each unit, on which Cycles renders',
      parse: integerIn(1, 64),
    },
    { flags: '--vram <size>', help: 'memory on each of these GPUs (default: 2 GiB)', parse: bytes },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit render scene.blend -o out/', 'frames and film, in a folder'],
    [
      'furrow submit render scene.blend --frames 1-48 --samples 16 --size 640x360 -o look.mp4',
      'a quick look',
    ],
    [
      'furrow submit render scene.blend --asset textures/wood.png --watch',
      'with a texture beside it',
    ],
  ],
  async run([path = ''], options, context) {
    const scene = await checkSource(path);
    const assets: LocalFile[] = [];
    for (const asset of options.asset ?? []) {
      assets.push(await checkSource(asset, nameBeside(path, asset)));
    }
    await checkOutputOption(options);
    const wanted = requestOf(options, scene.name);
    const workOf = ([file, ...others]: readonly File[]) =>
      ({ $case: 'render', value: { scene: file, assets: others, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([scene, ...assets], workOf, scene.name, options, context);
  },
});

function requestOf(options: RenderOptions, scene: string) {
  const { gpus = 0, vram = 0 } = options;
  return {
    frames: [...(options.frames ?? [])],
    settings: {
      scene: options.scene ?? '',
      engine: options.engine ?? '',
      samples: options.samples ?? 0,
      width: options.size?.width ?? 0,
      height: options.size?.height ?? 0,
      format: options.format ?? 'png',
      gpu: gpus > 0,
    },
    framesPerUnit: options.framesPerUnit ?? 0,
    film: filmOf(options, scene),
    video: {
      encoder: options.encoder ?? '',
      crf: options.crf ?? 0,
      preset: '',
      width: 0,
      height: 0,
      threads: 0,
    },
    frameRate: options.fps ?? '',
    cpus: options.cpus ?? 0,
    ramBytes: options.ram ?? 0,
    gpus,
    vramBytes: vram,
  };
}

const CONTAINERS = ['.mp4', '.mov', '.mkv', '.webm'];

/** The film's name: as asked for, that of -o, or the scene's. Empty for none. */
function filmOf({ film, framesOnly, output, format }: RenderOptions, scene: string): string {
  if (framesOnly === true || format === 'exr') {
    if (film === undefined) return '';
    const message = `--film ${film} with ${framesOnly ? '--frames-only' : '--format exr'}: leave one of them out`;
    throw new FurrowError('invalid', 'OPTIONS_CLASH', message);
  }
  if (film !== undefined) return film;
  const isFilm = output !== undefined && CONTAINERS.includes(extname(output).toLowerCase());
  return isFilm ? basename(output) : `${basename(scene, extname(scene))}.mp4`;
}

/** As Blender sees it from its file: a relative path with slashes, never upwards. */
function nameBeside(scene: string, asset: string): string {
  const name = relative(resolve(dirname(scene)), resolve(asset))
    .split(sep)
    .join('/');
  if (!name.startsWith('../')) return name;
  const message = `'${asset}' is not beside or below '${scene}': move it there, or pack it into the file`;
  throw new FurrowError('invalid', 'ASSET_OUTSIDE', message);
}

/** `1-250`, `1,5,10-20`, `1-100:10`. */
function frameRanges(text: string): readonly FrameRange[] {
  return text.split(',').map((part) => {
    const match = /^(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?$/.exec(part.trim());
    const [first, last, step] = [match?.[1], match?.[2] ?? match?.[1], match?.[3] ?? 1].map(Number);
    if (match !== null && last! >= first! && step! > 0) {
      return { first: first!, last: last!, step: step! };
    }
    const message = `'${text}' are no frames: use 1-250, or 1,5,10-20, or 1-100:10`;
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  });
}

function frameRate(text: string): string {
  const match = /^([1-9]\d{0,6})(?:\/([1-9]\d{0,6}))?$/.exec(text);
  if (match !== null) return `${match[1]}/${match[2] ?? 1}`;
  const message = `'${text}' is no frame rate: use 24, or a fraction such as 30000/1001`;
  throw new FurrowError('invalid', 'OPTION_INVALID', message);
}

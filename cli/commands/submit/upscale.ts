import type { PictureList } from '../../../proto/gen/furrow/v1/recipe_infer.ts';
import {
  CODING_OPTIONS,
  codingOf,
  type CodingOptions,
  MIXED_ENCODERS,
} from '../../coding-options.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource, isFolder, type LocalFile } from '../../local-files.ts';
import { bytes, integerIn, oneOf } from '../../options.ts';
import { submitFilm } from '../../submit-film.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface UpscaleOptions extends SubmitOptions, CodingOptions {
  readonly model?: string;
  readonly scale?: number;
  readonly provider?: string;
  readonly cpus?: number;
  readonly memory?: number;
  readonly vram?: number;
  readonly film?: string;
  readonly mixedEncoders?: boolean;
  readonly format?: string;
  readonly quality?: number;
  readonly perUnit?: number;
}

export const upscale = defineCommand<UpscaleOptions>({
  name: 'upscale',
  summary: 'a film or pictures twice, three or four times as large, by a model',
  description:
    'Makes a film, or pictures, or all pictures of a folder larger by a model that the farm keeps (furrow models list). The frames of a film keep their times, and its audio and subtitles are kept; pictures come out in a folder named large. What does not fit into memory goes through the model in tiles, with the same result.',
  arguments: [{ syntax: '<path...>', help: 'a film; or pictures, or folders of pictures' }],
  options: [
    { flags: '--model <name>', help: 'a model that upscales, as furrow models list shows it' },
    {
      flags: '--scale <n>',
      help: 'refuse a model of another scale',
      parse: integerIn(2, 8),
    },
    {
      flags: '--provider <name>',
      help: 'what runs the model: cpu, cuda, tensorrt, dml, coreml or webgpu (default: cpu; cuda with --vram)',
    },
    {
      flags: '--cpus <n>',
      help: 'CPUs of each unit (default: 2; 1 where no agent has more)',
      parse: integerIn(1, 64),
    },
    {
      flags: '--memory <size>',
      help: 'memory of each unit, such as 4G (default: about 2G)',
      parse: bytes,
    },
    { flags: '--vram <size>', help: 'on a GPU with so much memory free, such as 6G', parse: bytes },
    ...CODING_OPTIONS,
    { flags: '--film <name>', help: 'name of the film; its ending chooses the container' },
    MIXED_ENCODERS,
    {
      flags: '--format <name>',
      help: 'of pictures: png, jpg or webp (default: as each one is)',
      parse: oneOf('png', 'jpg', 'webp'),
    },
    { flags: '--quality <n>', help: 'of jpg and webp (default: 90)', parse: integerIn(1, 100) },
    {
      flags: '--per-unit <n>',
      help: 'pictures of each unit (default: 1)',
      parse: integerIn(1, 1000),
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit upscale clip.mp4 --model anime -o large.mp4', 'by the scale of the model'],
    ['furrow submit upscale clip.mp4 --model anime --vram 4G', 'on GPUs'],
    ['furrow submit upscale photos/ --model anime -o out/', 'all pictures of a folder'],
  ],
  async run(paths, options, context) {
    await checkOutputOption(options);
    const local = await filmOf(paths);
    const named = { name: options.film, output: options.output };
    const film = local === undefined ? '' : await outputName(named, FILM_ENDINGS);
    const wanted = {
      model: options.model ?? '',
      scale: options.scale ?? 0,
      provider: options.provider ?? '',
      cpus: options.cpus ?? 0,
      ramBytes: options.memory ?? 0,
      vramBytes: options.vram ?? 0,
      ...codingOf(options),
      film,
      mixedEncoders: options.mixedEncoders,
      format: options.format ?? '',
      quality: options.quality ?? 0,
      perUnit: options.perUnit ?? 0,
    };
    if (local === undefined) {
      const { findPictures } = await import('../../picture-files.ts');
      const { pictures, others } = await findPictures(paths);
      if (others > 0)
        context.out.note(
          `${others} files are left out: they are no pictures by their names, or no files`,
        );
      const { submitWithList } = await import('../../submit-list.ts');
      const ofList = (list: PictureList) =>
        ({ $case: 'upscale', value: { ...wanted, source: undefined, pictures: list } }) as const;
      const name = `${wanted.model} on ${pictures.length} pictures`;
      return submitWithList(pictures, ofList, name, options, context);
    }
    return submitFilm(
      local,
      (source) => ({ $case: 'upscale', value: { source, ...wanted, pictures: undefined } }),
      options,
      context,
    );
  },
});

/** The one path, when it is a file and has no picture's name. */
async function filmOf(paths: readonly string[]): Promise<LocalFile | undefined> {
  const { isPictureName } = await import('../../picture-files.ts');
  const [path = ''] = paths;
  if (paths.length !== 1 || isPictureName(path) || (await isFolder(path))) return undefined;
  return checkSource(path);
}

import {
  CODING_OPTIONS,
  codingOf,
  type CodingOptions,
  MIXED_ENCODERS,
} from '../../coding-options.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { integerIn, oneOf } from '../../options.ts';
import { submitFilm } from '../../submit-film.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface InterpolateOptions extends SubmitOptions, CodingOptions {
  readonly model?: string;
  readonly factor?: number;
  readonly fps?: string;
  readonly provider?: string;
  readonly film?: string;
  readonly mixedEncoders?: boolean;
  readonly duplicates?: 'hold' | 'smooth';
}

export const interpolate = defineCommand<InterpolateOptions>({
  name: 'interpolate',
  summary: 'a film at a higher frame rate, with frames in between made by a model',
  description:
    "Gives a film another frame rate: the source's frames stay where they are, and a model makes those between them. Where a new scene begins between two, nothing is blended: the nearer one is shown. Works with any model of RIFE's kind that the farm keeps: furrow models list.",
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    { flags: '--model <name>', help: 'a model that interpolates, as furrow models list shows it' },
    {
      flags: '--factor <n>',
      help: "so many frames for each of the source's, 2 to 16 (default: 2)",
      parse: integerIn(2, 16),
    },
    {
      flags: '--fps <rate>',
      help: 'frames a second instead, such as 60 or 60000/1001',
    },
    {
      flags: '--provider <name>',
      help: 'what runs the model: cpu, cuda, tensorrt, dml, coreml or webgpu (default: cpu)',
    },
    ...CODING_OPTIONS,
    { flags: '--film <name>', help: 'name of the film; its ending chooses the container' },
    {
      flags: '--duplicates <what>',
      help: 'of a picture that the source shows up to six times in a row, as animation does: hold it, or smooth the motion across it (default: hold)',
      parse: oneOf('hold', 'smooth'),
    },
    MIXED_ENCODERS,
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit interpolate clip.mp4 --model rife -o smooth.mp4', 'twice the frames'],
    ['furrow submit interpolate clip.mp4 --model rife --fps 60', 'exactly 60 a second'],
    [
      'furrow submit interpolate anime.mkv --model rife --duplicates smooth',
      'drawings on twos move',
    ],
  ],
  async run([path = ''], options, context) {
    const named = { name: options.film, output: options.output };
    const film = await outputName(named, FILM_ENDINGS);
    const local = await checkSource(path);
    await checkOutputOption(options);
    const wanted = {
      model: options.model ?? '',
      factor: options.factor ?? 0,
      fps: options.fps ?? '',
      provider: options.provider ?? '',
      ...codingOf(options),
      film,
      mixedEncoders: options.mixedEncoders,
      smoothDuplicates: options.duplicates === 'smooth' ? true : undefined,
    };
    return submitFilm(
      local,
      (source) => ({ $case: 'interpolate', value: { source, ...wanted } }),
      options,
      context,
    );
  },
});

import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { bitsPerSecond, integerIn, numberIn, oneOf } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface InterpolateOptions extends SubmitOptions {
  readonly model?: string;
  readonly factor?: number;
  readonly fps?: string;
  readonly provider?: string;
  readonly encoder?: string;
  readonly crf?: number;
  readonly preset?: string;
  readonly audio?: string;
  readonly audioBitrate?: number;
  readonly pieceSeconds?: number;
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
    {
      flags: '--encoder <name>',
      help: 'libx264, libx265, libsvtav1 or libvpx-vp9 (default: libx264)',
    },
    {
      flags: '--crf <n>',
      help: 'constant quality, smaller is better (default: 20)',
      // In the protocol 0 is the default: whoever says 0 means something else.
      parse: integerIn(1, 63),
    },
    { flags: '--preset <name>', help: "the encoder's preset (default: medium)" },
    { flags: '--audio <encoder>', help: 'aac, libopus or copy (default: aac)' },
    { flags: '--audio-bitrate <rate>', help: 'such as 128k, for each track', parse: bitsPerSecond },
    {
      flags: '--piece-seconds <s>',
      help: 'wanted length of a piece (default: 10)',
      parse: numberIn(0.1, 3600),
    },
    { flags: '--film <name>', help: 'name of the film; its ending chooses the container' },
    {
      flags: '--duplicates <what>',
      help: 'of a picture that the source shows up to six times in a row, as animation does: hold it, or smooth the motion across it (default: hold)',
      parse: oneOf('hold', 'smooth'),
    },
    {
      flags: '--mixed-encoders',
      help: 'let different versions of ffmpeg encode pieces (default: one for the film)',
    },
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
      video: {
        encoder: options.encoder ?? '',
        crf: options.crf ?? 0,
        preset: options.preset ?? '',
        width: 0,
        height: 0,
        threads: 0,
      },
      audio: { encoder: options.audio ?? '', bitrateBps: options.audioBitrate ?? 0 },
      film,
      pieceMs: Math.round((options.pieceSeconds ?? 0) * 1000),
      mixedEncoders: options.mixedEncoders,
      smoothDuplicates: options.duplicates === 'smooth' ? true : undefined,
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'interpolate', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

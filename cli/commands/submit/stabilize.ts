import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { bitsPerSecond, integerIn, numberIn, oneOf } from '../../options.ts';
import { PROXY_OPTIONS, withProxy, type ProxyOptions } from '../../proxy-options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface StabilizeOptions extends SubmitOptions, ProxyOptions {
  readonly smoothing?: number;
  readonly shakiness?: number;
  readonly edges?: string;
  readonly zoom?: number;
  readonly encoder?: string;
  readonly crf?: number;
  readonly preset?: string;
  readonly audio?: string;
  readonly audioBitrate?: number;
  readonly pieceSeconds?: number;
  readonly film?: string;
}

export const stabilize = defineCommand<StabilizeOptions>({
  name: 'stabilize',
  summary: 'hold a shaky film still',
  description:
    'Holds a film still: the motion of the camera is measured in all pieces at once, smoothed over the whole film, and taken out of each piece, so that nothing jumps where pieces meet. Ten-bit pictures are worked on in eight bits.',
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    {
      flags: '--smoothing <s>',
      help: 'movements slower than this stay, in seconds to each side (default: 0.5)',
      parse: numberIn(0.02, 20),
    },
    {
      flags: '--shakiness <n>',
      help: 'how much the camera shakes, 1 to 10 (default: 5)',
      parse: integerIn(1, 10),
    },
    {
      flags: '--edges <how>',
      help: 'crop: zoom in until no moving edge is seen; black: keep the size and show them (default: crop)',
      parse: oneOf('crop', 'black'),
    },
    { flags: '--zoom <percent>', help: 'zoom in further (default: 0)', parse: numberIn(0, 30) },
    {
      flags: '--encoder <name>',
      help: 'libx264, libx265, libsvtav1 or libvpx-vp9 (default: libx264)',
    },
    {
      flags: '--crf <n>',
      help: 'constant quality, smaller is better (default: 20)',
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
    {
      flags: '--film <name>',
      help: `name of the film; ${FILM_ENDINGS.join(', ')} chooses the container`,
    },
    ...PROXY_OPTIONS,
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit stabilize walk.mp4 -o steady.mp4', 'steady, no edges to be seen'],
    [
      'furrow submit stabilize walk.mp4 --smoothing 2 --edges black -o .',
      'steadier, all of the picture',
    ],
  ],
  async run([path = ''], options, context) {
    const film = await outputName({ name: options.film, output: options.output }, FILM_ENDINGS);
    const local = await checkSource(path);
    await checkOutputOption(options);
    const wanted = {
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
      smoothingMs: Math.round((options.smoothing ?? 0) * 1000),
      shakiness: options.shakiness ?? 0,
      edges: options.edges ?? '',
      zoomMilliPercent: Math.round((options.zoom ?? 0) * 1000),
      withProxy: withProxy(options),
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'stabilize', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

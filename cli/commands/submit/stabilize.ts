import { CODING_OPTIONS, codingOf, type CodingOptions } from '../../coding-options.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { integerIn, numberIn, oneOf } from '../../options.ts';
import { PROXY_OPTIONS, withProxy, type ProxyOptions } from '../../proxy-options.ts';
import { submitFilm } from '../../submit-film.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface StabilizeOptions extends SubmitOptions, CodingOptions, ProxyOptions {
  readonly smoothing?: number;
  readonly shakiness?: number;
  readonly edges?: string;
  readonly zoom?: number;
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
    ...CODING_OPTIONS,
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
      ...codingOf(options),
      film,
      smoothingMs: Math.round((options.smoothing ?? 0) * 1000),
      shakiness: options.shakiness ?? 0,
      edges: options.edges ?? '',
      zoomMilliPercent: Math.round((options.zoom ?? 0) * 1000),
      withProxy: withProxy(options),
    };
    return submitFilm(
      local,
      (source) => ({ $case: 'stabilize', value: { source, ...wanted } }),
      options,
      context,
    );
  },
});

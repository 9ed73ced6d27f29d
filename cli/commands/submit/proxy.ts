import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { integerIn, numberIn } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface ProxyCommandOptions extends SubmitOptions {
  readonly format?: string;
  readonly side?: number;
  readonly pieceSeconds?: number;
  readonly film?: string;
}

export const proxy = defineCommand<ProxyCommandOptions>({
  name: 'proxy',
  summary: 'make a small film to edit with: the same frames, the same timecode',
  description:
    'Makes a proxy of a film: small, quick to jump about in, with exactly the same frames at the same times and the same timecode, so that an editing program can put the film back in its place.',
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    { flags: '--format <name>', help: 'h264, h264-intra, prores, dnxhr or mjpeg (default: h264)' },
    {
      flags: '--side <pixels>',
      help: 'most pixels of the longer side (default: 960)',
      parse: integerIn(64, 8192),
    },
    {
      flags: '--piece-seconds <s>',
      help: 'wanted length of a piece (default: 10)',
      parse: numberIn(0.1, 3600),
    },
    { flags: '--film <name>', help: 'name of the proxy; .mp4, .mov or .mkv chooses the container' },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit proxy A001.mov -o A001-proxy.mov --format prores', 'encode, wait, download'],
    ['furrow submit proxy A001.mov --side 640 -o proxies/', 'smaller, into a folder'],
  ],
  async run([path = ''], options, context) {
    const named = { name: options.film, output: options.output };
    const film = await outputName(named, ['.mp4', '.mov', '.mkv']);
    const local = await checkSource(path);
    await checkOutputOption(options);
    const wanted = {
      format: options.format ?? '',
      longestSide: options.side ?? 0,
      film,
      pieceMs: Math.round((options.pieceSeconds ?? 0) * 1000),
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'proxy', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

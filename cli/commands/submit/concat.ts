import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { FILM_ENDINGS, outputName } from '../../film-name.ts';
import { checkSource, type LocalFile } from '../../local-files.ts';
import { bitsPerSecond, frameSize, integerIn, oneOf, type FrameSize } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface ConcatOptions extends SubmitOptions {
  readonly film?: string;
  readonly size?: FrameSize;
  readonly fps?: string;
  readonly encoder?: string;
  readonly crf?: number;
  readonly preset?: string;
  readonly audio?: string;
  readonly audioBitrate?: number;
  readonly audioRate?: number;
  readonly channels?: 'mono' | 'stereo';
}

export const concat = defineCommand<ConcatOptions>({
  name: 'concat',
  summary: 'join clips into one film, however unlike they are',
  description:
    'Joins clips in the order in which they are named. All become what the first one is, or what the options say: size (with bars, not stretched), frame rate, sound (silence where a clip has none).',
  arguments: [{ syntax: '<clips...>', help: 'the clips, in order; at least two' }],
  options: [
    {
      flags: '--film <name>',
      help: `name of the film; ${FILM_ENDINGS.join(', ')} chooses the container`,
    },
    {
      flags: '--size <WxH>',
      help: "frame size, such as 1280x720 (default: the first clip's)",
      parse: frameSize,
    },
    { flags: '--fps <rate>', help: "such as 25 or 30000/1001 (default: the first clip's)" },
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
    { flags: '--audio <encoder>', help: 'aac or libopus (default: aac)' },
    { flags: '--audio-bitrate <rate>', help: 'such as 128k', parse: bitsPerSecond },
    {
      flags: '--audio-rate <n>',
      help: 'samples a second (default: those of the first clip with sound)',
      parse: integerIn(8000, 96_000),
    },
    {
      flags: '--channels <how>',
      help: 'mono or stereo (default: as the first clip with sound)',
      parse: oneOf('mono', 'stereo'),
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit concat a.mov b.mp4 c.mkv -o film.mp4', 'join, wait, download'],
    ['furrow submit concat *.mp4 --size 1920x1080 --fps 25 -o film.mp4', 'to a form of your own'],
  ],
  async run(paths, options, context) {
    const film = await outputName({ name: options.film, output: options.output }, FILM_ENDINGS);
    const locals: LocalFile[] = [];
    for (const path of paths) locals.push(await checkSource(path));
    await checkOutputOption(options);
    const { channels } = options;
    const wanted = {
      film,
      video: {
        encoder: options.encoder ?? '',
        crf: options.crf ?? 0,
        preset: options.preset ?? '',
        width: options.size?.width ?? 0,
        height: options.size?.height ?? 0,
        threads: 0,
      },
      audio: { encoder: options.audio ?? '', bitrateBps: options.audioBitrate ?? 0 },
      frameRate: options.fps ?? '',
      sampleRate: options.audioRate ?? 0,
      channels: channels === undefined ? 0 : channels === 'mono' ? 1 : 2,
    };
    const workOf = (clips: readonly File[]) =>
      ({ $case: 'concat', value: { clips, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles(locals, workOf, locals[0]?.name ?? 'concat', options, context);
  },
});

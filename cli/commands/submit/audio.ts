import { FurrowError } from '../../../kit/furrow-error.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { outputName } from '../../film-name.ts';
import { checkSource } from '../../local-files.ts';
import { bitsPerSecond, integerIn, oneOf } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface AudioOptions extends SubmitOptions {
  readonly sound?: string;
  readonly encoder?: string;
  readonly bitrate?: number;
  readonly channels?: 'mono' | 'stereo';
  readonly rate?: number;
  readonly loudness?: number | true;
  readonly truePeak?: number;
  readonly track?: readonly number[];
}

const ENDINGS = ['.m4a', '.mka', '.flac', '.wav', '.opus', '.mp3'];

/** What broadcasters ask for: EBU R128. */
const USUAL_LUFS = -23;
const USUAL_PEAK_DBTP = -1;

export const audio = defineCommand<AudioOptions>({
  name: 'audio',
  summary: 'take the sound out of a film, and make it as loud as it should be',
  description:
    'Takes the sound out of a film, as it is or coded anew, where it lies in the film: silence where the film has none. With --loudness it is made as loud as wanted by EBU R128: by one gain for all of it, and where that would pass the true peak, with the highest peaks taken down.',
  arguments: [{ syntax: '<file>', help: 'the film, or a file of sound' }],
  options: [
    {
      flags: '--sound <name>',
      help: `name of the sound's file; ${ENDINGS.join(', ')} chooses the form`,
    },
    {
      flags: '--encoder <name>',
      help: "aac, alac, libopus, flac, libmp3lame, pcm_s16le, pcm_s24le, or copy (default: the form's own)",
    },
    { flags: '--bitrate <rate>', help: 'such as 128k, for each track', parse: bitsPerSecond },
    {
      flags: '--channels <how>',
      help: "mono or stereo (default: the film's)",
      parse: oneOf('mono', 'stereo'),
    },
    {
      flags: '--rate <n>',
      help: "samples a second, such as 48000 (default: the film's)",
      parse: integerIn(8000, 96_000),
    },
    {
      flags: '--loudness [lufs]',
      help: `make it as loud as this, such as -16 (default: ${USUAL_LUFS})`,
      parse: negative,
    },
    {
      flags: '--true-peak <dbtp>',
      help: `highest true peak (default: ${USUAL_PEAK_DBTP})`,
      parse: negative,
    },
    {
      flags: '--track <n>',
      help: 'only this track of the film, from 1; may be repeated',
      parse: track,
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit audio film.mkv -o film.flac', 'all of it, losing nothing'],
    ['furrow submit audio talk.mp4 --loudness -16 --channels mono -o talk.mp3', 'for a podcast'],
    ['furrow submit audio film.mkv --encoder copy --track 2 -o track.mka', 'as it is'],
  ],
  async run([path = ''], options, context) {
    const sound = await outputName({ name: options.sound, output: options.output }, ENDINGS);
    const local = await checkSource(path);
    await checkOutputOption(options);
    const { loudness, truePeak } = options;
    const wanted = {
      sound,
      coding: {
        encoder: options.encoder ?? '',
        bitrateBps: options.bitrate ?? 0,
        channels: options.channels === undefined ? 0 : options.channels === 'mono' ? 1 : 2,
        sampleRate: options.rate ?? 0,
        loudness:
          loudness === undefined && truePeak === undefined
            ? undefined
            : {
                targetLufs: typeof loudness === 'number' ? loudness : USUAL_LUFS,
                truePeakDbtp: truePeak ?? USUAL_PEAK_DBTP,
              },
      },
      tracks: options.track ?? [],
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'audio', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

/** A level: at most 0, with decimals. */
function negative(text: string): number {
  const value = Number(text);
  if (!/^-?\d*\.?\d+$/.test(text) || value > 0) {
    throw new FurrowError(
      'invalid',
      'OPTION_INVALID',
      `'${text}' is not a level of 0 or below, such as -16`,
    );
  }
  return value;
}

/** All of those named, in order. */
function track(text: string, previous: readonly number[] | undefined): readonly number[] {
  return [...(previous ?? []), integerIn(1, 500)(text)];
}

import { basename, extname } from 'node:path';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { Deinterlace } from '../../../proto/gen/furrow/v1/task.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { ENCODER_HELP, FALLBACK_OPTIONS } from '../../encoder-options.ts';
import { checkSource, isFolder } from '../../local-files.ts';
import type { AudioTrackChoice } from '../../../proto/gen/furrow/v1/task.ts';
import {
  audioTracks,
  bitsPerSecond,
  frameSize,
  integerIn,
  numberIn,
  oneOf,
  type FrameSize,
} from '../../options.ts';
import { PROXY_OPTIONS, withProxy, type ProxyOptions } from '../../proxy-options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface TranscodeOptions extends SubmitOptions, ProxyOptions {
  readonly encoder?: string;
  readonly fallback?: boolean;
  readonly crf?: number;
  readonly bitrate?: number;
  readonly targetSsim?: number;
  readonly preset?: string;
  readonly size?: FrameSize;
  readonly audio?: string;
  readonly audioBitrate?: number;
  /** Undefined for all. */
  readonly audioTracks?: AudioTrackChoice;
  readonly fps?: string;
  readonly deinterlace?: 'off' | 'on' | 'auto';
  readonly fieldRate?: boolean;
  readonly hdr?: 'keep' | 'sdr';
  readonly pieceSeconds?: number;
  readonly pieceBy?: 'time' | 'scene';
  readonly film?: string;
  readonly mixedEncoders?: boolean;
}

const CONTAINERS = ['.mp4', '.mkv', '.webm', '.mov'];

export const transcode = defineCommand<TranscodeOptions>({
  name: 'transcode',
  summary: 'encode a film anew, in pieces, on all agents at once',
  description:
    'Encodes a film anew: the same frames, coded otherwise. The film is cut into pieces that all agents encode at once, joined, and proven whole.',
  isDefault: true,
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    {
      flags: '--encoder <name>',
      help: ENCODER_HELP,
    },
    ...FALLBACK_OPTIONS,
    {
      flags: '--crf <n>',
      help: 'constant quality, smaller is better (default: 20)',
      // In the protocol 0 is the default: whoever says 0 means something else.
      parse: integerIn(1, 63),
    },
    {
      flags: '--bitrate <rate>',
      help: 'bits a second of the picture on average, such as 4M, in place of --crf',
      parse: bitsPerSecond,
    },
    {
      flags: '--target-ssim <n>',
      help: 'likeness to the source, such as 0.97, in place of --crf: samples are tried first',
      parse: numberIn(0.5, 0.9999),
    },
    { flags: '--preset <name>', help: "the encoder's preset (default: medium)" },
    {
      flags: '--size <WxH>',
      help: 'frame size, such as 1280x720, 1280x or x720',
      parse: frameSize,
    },
    {
      flags: '--fps <rate>',
      help: 'frames a second, such as 25 or 30000/1001; frames are shown again or left out by their times (default: those of the source)',
    },
    {
      flags: '--deinterlace <when>',
      help: 'make whole pictures of fields: off, on, or auto for films that are interlaced (default: off)',
      parse: oneOf('off', 'on', 'auto'),
    },
    { flags: '--field-rate', help: 'with --deinterlace: a picture of each field, twice as many' },
    {
      flags: '--hdr <what>',
      help: 'keep high dynamic range, or make it standard range: keep or sdr (default: keep)',
      parse: oneOf('keep', 'sdr'),
    },
    { flags: '--audio <encoder>', help: 'aac, libopus, copy or none (default: aac)' },
    {
      flags: '--audio-tracks <which>',
      help: 'all, first, or languages such as eng,fra (default: all)',
      parse: audioTracks,
    },
    { flags: '--audio-bitrate <rate>', help: 'such as 128k, for each track', parse: bitsPerSecond },
    {
      flags: '--piece-seconds <s>',
      help: 'wanted length of a piece (default: sized for the agents that are there)',
      parse: numberIn(0.1, 3600),
    },
    {
      flags: '--piece-by <what>',
      help: 'let pieces begin at keyframes, or at changes of the scene: time or scene (default: time)',
      parse: oneOf('time', 'scene'),
    },
    {
      flags: '--film <name>',
      help: `name of the film; ${CONTAINERS.join(', ')} chooses the container`,
    },
    {
      flags: '--mixed-encoders',
      help: 'let different versions of ffmpeg encode pieces (default: one for the film)',
    },
    ...PROXY_OPTIONS,
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit clip.mov -o clip.mp4', 'encode, wait, download'],
    ['furrow submit clip.mov --encoder libx265 --crf 24', 'print the id of the job and go on'],
    ['furrow submit clip.mov --encoder auto:hevc -o clip.mp4', 'on hardware where all have it'],
    ['furrow submit clip.mov --size x720 --watch', 'smaller frames; follow the progress'],
  ],
  async run([path = ''], options, context) {
    const film = await filmName(options);
    const local = await checkSource(path);
    await checkOutputOption(options);
    const wanted = {
      video: {
        encoder: options.encoder ?? '',
        crf: options.crf ?? 0,
        preset: options.preset ?? '',
        width: options.size?.width ?? 0,
        height: options.size?.height ?? 0,
        threads: 0,
        bitrateBps: options.bitrate,
        targetSsim: options.targetSsim,
        toSdr: options.hdr === 'sdr' ? true : undefined,
      },
      fallback: options.fallback,
      audio: {
        encoder: options.audio ?? '',
        bitrateBps: options.audioBitrate ?? 0,
        tracks: options.audioTracks,
      },
      film,
      pieceMs: Math.round((options.pieceSeconds ?? 0) * 1000),
      mixedEncoders: options.mixedEncoders,
      withProxy: withProxy(options),
      fps: options.fps,
      deinterlace: deinterlaceOf(options),
      pieceBy: options.pieceBy,
    };
    const workOf = ([source]: readonly File[]) =>
      ({ $case: 'transcode', value: { source, ...wanted } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles([local], workOf, local.name, options, context);
  },
});

function deinterlaceOf({ deinterlace, fieldRate }: TranscodeOptions): Deinterlace | undefined {
  if (deinterlace === undefined || deinterlace === 'off') {
    if (fieldRate !== true) return undefined;
    const message = '--field-rate makes pictures of fields: add --deinterlace on or auto';
    throw new FurrowError('invalid', 'DEINTERLACE_MISSING', message);
  }
  return { always: deinterlace === 'on', eachField: fieldRate === true };
}

/** The name asked for, else that of -o, so that its extension chooses the container. */
async function filmName({ film, output }: TranscodeOptions): Promise<string> {
  const isFile = output !== undefined && !output.endsWith('/') && !(await isFolder(output));
  const name = film ?? (isFile ? basename(output) : '');
  if (name !== '' && !CONTAINERS.includes(extname(name).toLowerCase())) {
    const message = `'${name}' does not say which container: end it in ${CONTAINERS.join(', ')}`;
    throw new FurrowError('invalid', 'CONTAINER_UNKNOWN', message);
  }
  return name;
}

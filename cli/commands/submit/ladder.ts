import { FurrowError } from '../../../kit/furrow-error.ts';
import type { LadderRung } from '../../../proto/gen/furrow/v1/job_service.ts';
import type { Packaging } from '../../../proto/gen/furrow/v1/task_package.ts';
import type { AudioTrackChoice } from '../../../proto/gen/furrow/v1/task.ts';
import {
  AUDIO_BITRATE,
  codingOf,
  type CodingOptions,
  crf,
  pieceSeconds,
  PRESET,
} from '../../coding-options.ts';
import { defineCommand } from '../../command.ts';
import { ENCODER_HELP, FALLBACK_OPTIONS } from '../../encoder-options.ts';
import { checkSource } from '../../local-files.ts';
import { audioTracks, bitsPerSecond, oneOf } from '../../options.ts';
import { submitFilm } from '../../submit-film.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface LadderOptions extends SubmitOptions, CodingOptions {
  readonly rung?: readonly LadderRung[];
  readonly fallback?: boolean;
  readonly audioTracks?: AudioTrackChoice;
  readonly container?: string;
  readonly films?: string;
  readonly package?: Packaging;
}

export const ladder = defineCommand<LadderOptions>({
  name: 'ladder',
  summary: 'encode a film in several sizes and rates',
  description:
    'Encodes a film in several sizes and rates, such as 1080p, 720p and 480p. It is cut once, at the same frames for all of them; each film is proven by itself. Rungs larger than the film are left out.',
  arguments: [{ syntax: '<file>', help: 'the film' }],
  options: [
    {
      flags: '--rung <lines[:rate]>',
      help: 'such as 720p:2.8M, at most so many bits a second; may be repeated (default: 1080p:5M, 720p:2.8M, 480p:1.4M, 360p:800k)',
      parse: rungs,
    },
    { flags: '--encoder <name>', help: ENCODER_HELP },
    ...FALLBACK_OPTIONS,
    crf('constant quality below the rate, smaller is better (default: 20)'),
    PRESET,
    { flags: '--audio <encoder>', help: 'aac, libopus, copy or none (default: aac)' },
    AUDIO_BITRATE,
    {
      flags: '--audio-tracks <which>',
      help: 'all, first, or languages such as eng,fra (default: all)',
      parse: audioTracks,
    },
    {
      flags: '--container <kind>',
      help: 'mp4, mkv, webm or mov (default: mp4)',
      parse: oneOf('mp4', 'mkv', 'webm', 'mov'),
    },
    pieceSeconds(6),
    {
      flags: '--films <name>',
      help: "the films are NAME-720p.mp4 and so on (default: the source's)",
    },
    {
      flags: '--package <kinds>',
      help: 'hls, dash or hls,dash: the folder NAME besides, with playlists for players on the web',
      parse: packaging,
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit ladder film.mov -o films/', 'the usual four rungs, into a folder'],
    ['furrow submit ladder film.mov --rung 720p:3M --rung 360p:700k --watch', 'rungs of your own'],
    ['furrow submit ladder film.mov --package hls,dash -o web/', 'for players on the web besides'],
  ],
  async run([path = ''], options, context) {
    const local = await checkSource(path);
    await checkOutputOption(options);
    const { video, audio, pieceMs } = codingOf(options);
    const wanted = {
      video,
      fallback: options.fallback,
      audio: { ...audio, tracks: options.audioTracks },
      name: options.films ?? '',
      container: options.container ?? '',
      pieceMs,
      rungs: [...(options.rung ?? [])],
      packaging: options.package,
    };
    return submitFilm(
      local,
      (source) => ({ $case: 'ladder', value: { source, ...wanted } }),
      options,
      context,
    );
  },
});

/** `720p:2.8M`, `720p` or `720`. */
function rungs(text: string, previous: readonly LadderRung[] | undefined): readonly LadderRung[] {
  const [, lines, rate] = /^(\d{2,4})p?(?::(.+))?$/.exec(text) ?? [];
  if (lines === undefined) {
    const message = `'${text}' is not a rung, such as 720p:2.8M`;
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  }
  const maxBitrateBps = rate === undefined ? 0 : bitsPerSecond(rate);
  return [...(previous ?? []), { lines: Number(lines), maxBitrateBps }];
}

/** `hls,dash` or one of them. */
function packaging(text: string): Packaging {
  const kinds = text.split(',');
  if (kinds.some((kind) => kind !== 'hls' && kind !== 'dash')) {
    const message = `'${text}' is no way to package films: use hls, dash or hls,dash`;
    throw new FurrowError('invalid', 'OPTION_INVALID', message);
  }
  return { hls: kinds.includes('hls'), dash: kinds.includes('dash') };
}

import { join } from 'node:path';
import type { AudioTrackChoice } from '../../../proto/gen/furrow/v1/task.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { FurrowError } from '../../../kit/furrow-error.ts';
import { defineCommand } from '../../command.ts';
import { ENCODER_HELP, FALLBACK_OPTIONS } from '../../encoder-options.ts';
import { checkSource, isFolder, type LocalFile } from '../../local-files.ts';
import {
  audioTracks,
  bitsPerSecond,
  frameSize,
  integerIn,
  numberIn,
  oneOf,
  type FrameSize,
} from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface FolderOptions extends SubmitOptions {
  readonly container?: string;
  readonly encoder?: string;
  readonly fallback?: boolean;
  readonly crf?: number;
  readonly preset?: string;
  readonly size?: FrameSize;
  readonly audio?: string;
  readonly audioBitrate?: number;
  readonly audioTracks?: AudioTrackChoice;
  readonly pieceSeconds?: number;
  readonly mixedEncoders?: boolean;
}

export const folder = defineCommand<FolderOptions>({
  name: 'folder',
  summary: 'encode all films of a folder anew, as one job',
  description:
    'Encodes every film of a folder anew, those in its folders too, and keeps their names. A film that cannot be read does not fail the others: results.csv and furrow results say what became of each. With -o it ends with 4 unless all of them were made.',
  arguments: [{ syntax: '<folder>', help: 'where the films are' }],
  options: [
    {
      flags: '--container <kind>',
      help: 'mp4, mkv, webm or mov (default: mp4)',
      parse: oneOf('mp4', 'mkv', 'webm', 'mov'),
    },
    {
      flags: '--encoder <name>',
      help: ENCODER_HELP,
    },
    ...FALLBACK_OPTIONS,
    {
      flags: '--crf <n>',
      help: 'constant quality, smaller is better (default: 20)',
      parse: integerIn(1, 63),
    },
    { flags: '--preset <name>', help: "the encoder's preset (default: medium)" },
    {
      flags: '--size <WxH>',
      help: 'frame size, such as 1280x720, 1280x or x720',
      parse: frameSize,
    },
    { flags: '--audio <encoder>', help: 'aac, libopus, copy or none (default: aac)' },
    { flags: '--audio-bitrate <rate>', help: 'such as 128k, for each track', parse: bitsPerSecond },
    {
      flags: '--audio-tracks <which>',
      help: 'all, first, or languages such as eng,fra (default: all)',
      parse: audioTracks,
    },
    {
      flags: '--piece-seconds <s>',
      help: 'wanted length of a piece (default: 10)',
      parse: numberIn(0.1, 3600),
    },
    {
      flags: '--mixed-encoders',
      help: 'let different versions of ffmpeg encode pieces of one film',
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    [
      'furrow submit folder holiday/ -o encoded/',
      'the same names in another folder, and results.csv',
    ],
    ['furrow submit folder holiday/ --encoder libx265', 'print the id of the job and go on'],
  ],
  async run([path = ''], options, context) {
    const { findFilms, filmNames } = await import('../../find-films.ts');
    await checkFolderOutput(options);
    const sources = await looked(path, await findFilms(path));
    const films = filmNames(
      sources.map(({ name }) => name),
      options.container ?? 'mp4',
    );
    const locals = sources.flatMap(({ local }) => (local === undefined ? [] : [local]));
    const wanted = {
      video: {
        encoder: options.encoder ?? '',
        crf: options.crf ?? 0,
        preset: options.preset ?? '',
        width: options.size?.width ?? 0,
        height: options.size?.height ?? 0,
        threads: 0,
      },
      fallback: options.fallback,
      audio: {
        encoder: options.audio ?? '',
        bitrateBps: options.audioBitrate ?? 0,
        tracks: options.audioTracks,
      },
      pieceMs: Math.round((options.pieceSeconds ?? 0) * 1000),
      mixedEncoders: options.mixedEncoders,
    };
    const workOf = (files: readonly File[]) => {
      const sent = new Map(files.map((file) => [file.name, file]));
      const named = sources.map(({ name }, i) => ({
        source: sent.get(name) ?? { name, sizeBytes: 0, sha256: '' },
        film: films[i]!,
      }));
      return { $case: 'folder', value: { films: named, ...wanted } } as const;
    };
    const { submitWithFiles } = await import('../../submit-job.ts');
    const result = await submitWithFiles(locals, workOf, path, options, context);
    if (result.report?.kind !== 'fetched') return result;
    const { showResults } = await import('../../show-results.ts');
    return showResults(result.report.jobId, context);
  },
});

/** Several films go into a folder, whatever it is called. */
async function checkFolderOutput(options: FolderOptions): Promise<void> {
  const { output } = options;
  if (output === undefined || output.endsWith('/') || (await isFolder(output))) {
    return checkOutputOption(options);
  }
  const message = `there is no folder '${output}' for -o: end its name with a slash, and it is made`;
  throw new FurrowError('invalid', 'FOLDER_MISSING', message);
}

interface Source {
  /** As the farm calls it. */
  readonly name: string;
  /** Undefined when it is empty: the table of results says so, and nothing is sent. */
  readonly local: LocalFile | undefined;
}

async function looked(folderPath: string, paths: readonly string[]): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const path of paths) {
    const name = path.normalize('NFC');
    const local = await checkSource(join(folderPath, path), name).catch((error: unknown) => {
      if (error instanceof FurrowError && error.reason === 'FILE_EMPTY') return undefined;
      throw error;
    });
    sources.push({ name, local });
  }
  return sources;
}

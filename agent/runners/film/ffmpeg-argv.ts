/**
 * Argument vectors for ffmpeg and ffprobe. Every call of either is built here, so that every input is
 * fenced (`untrusted-input.ts`): a playlist that calls itself film.mp4 can open nothing else.
 *
 * fluent-ffmpeg (archived) is used for the order of options around inputs and outputs, and for
 * nothing else: no spawning, no capability checks, no parsing of its own.
 */
import FluentFfmpeg from 'fluent-ffmpeg';
import { MEMORY_FENCE } from '../../../kit/film-fence.ts';
import { type InputKind, untrustedInput } from './untrusted-input.ts';

export interface MediaInput {
  /** Name in the working directory; what ffmpeg is told is for `MediaProcess` to choose. */
  readonly name: string;
  /** Options before `-i`. */
  readonly options?: readonly string[];
  /** An ffconcat list of our own, whose files are opened under the same fence. */
  readonly list?: boolean;
  /** A sequence of pictures under names of ours, such as `picture-%06d.png`. */
  readonly frames?: boolean;
}

export interface MediaOutput {
  /** Name in the working directory; `null` throws the output away, `stdout` prints it. */
  readonly name: { readonly file: string } | 'null' | 'stdout';
  readonly options: readonly string[];
}

/** `-progress` prints on standard output, so that no output may use it as well. */
const PROGRESS = ['-progress', 'pipe:1', '-stats_period', '0.5'];

interface ArgvBuilder {
  input(name: string): ArgvBuilder;
  inputOptions(...options: string[]): ArgvBuilder;
  output(name: string): ArgvBuilder;
  outputOptions(...options: string[]): ArgvBuilder;
  _getArguments(): string[];
}

export interface ArgvOptions {
  /** Print `-progress` blocks on standard output. */
  readonly progress: boolean;
  /** For each decoder and each filter graph; ffmpeg takes the whole machine otherwise. */
  readonly threads: number;
}

/** Arguments for ffmpeg: inputs in order, each with its fence, then outputs. */
export function ffmpegArgv(
  inputs: readonly MediaInput[],
  outputs: readonly MediaOutput[],
  options: ArgvOptions,
): string[] {
  const builder = FluentFfmpeg() as unknown as ArgvBuilder;
  for (const input of inputs) {
    builder.input(`file:${input.name}`);
    // One call with many arguments: fluent-ffmpeg splits a lone argument at its space.
    builder.inputOptions(
      ...untrustedInput(kindOf(input)),
      '-threads',
      String(options.threads),
      ...(input.options ?? []),
    );
  }
  for (const output of outputs) {
    builder.output(outputName(output.name));
    if (output.options.length === 1)
      throw new Error('an output needs at least one pair of options');
    if (output.options.length > 1) builder.outputOptions(...output.options);
  }
  return [
    '-nostdin',
    '-hide_banner',
    '-loglevel',
    'error',
    '-nostats',
    '-y',
    ...MEMORY_FENCE,
    '-filter_threads',
    String(options.threads),
    '-filter_complex_threads',
    String(options.threads),
    ...(options.progress ? PROGRESS : []),
    ...builder._getArguments(),
  ];
}

/** Arguments for ffprobe on one file. One thread: each of a decoder's threads would hold a picture. */
export function ffprobeArgv(name: string, options: readonly string[]): string[] {
  return [
    ['-hide_banner', '-loglevel', 'error', ...MEMORY_FENCE],
    [...untrustedInput('film'), '-threads', '1'],
    [...options, '-i', `file:${name}`],
  ].flat();
}

function kindOf({ list, frames }: MediaInput): InputKind {
  if (list === true) return 'list';
  return frames === true ? 'frames' : 'film';
}

function outputName(name: MediaOutput['name']): string {
  if (name === 'null' || name === 'stdout') return '-';
  return `file:${name.file}`;
}

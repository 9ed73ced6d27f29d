import { basename } from 'node:path';
import { FurrowError } from '../../../kit/furrow-error.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import type { FrameRate } from '../../../proto/gen/furrow/v1/task_montage.ts';
import { defineCommand } from '../../command.ts';
import { checkSource, isFolder, type LocalFile } from '../../local-files.ts';
import {
  bytes,
  duration,
  frameRate,
  frameSize,
  integerIn,
  numberIn,
  oneOf,
  type FrameSize,
} from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface MontageOptions extends SubmitOptions {
  readonly music?: string;
  readonly style?: string;
  readonly cuts?: string;
  readonly length?: number;
  readonly musicFrom?: number;
  readonly seed?: number;
  readonly size?: FrameSize;
  readonly fps?: FrameRate;
  readonly fit?: 'crop' | 'pad';
  readonly enhance?: boolean;
  readonly stabilize?: boolean;
  readonly stabilise?: boolean;
  readonly proxies?: boolean;
  readonly withProxies?: boolean;
  readonly upscale?: string;
  readonly provider?: string;
  readonly cpus?: number;
  readonly memory?: number;
  readonly vram?: number;
  readonly clipSound?: number;
  readonly film?: string;
  readonly encoder?: string;
  readonly crf?: number;
  readonly preset?: string;
}

export const montage = defineCommand<MontageOptions>({
  name: 'montage',
  summary: 'cut clips on a piece of music, in a style',
  description:
    'Cuts a film from clips on a piece of music: the best stretches, on the beat, in a style. The list of cuts comes with it as OpenTimelineIO, EDL and table, and can be given back edited.',
  arguments: [{ syntax: '<clips...>', help: 'what it is cut from' }],
  options: [
    { flags: '--music <file>', help: 'what it is cut on' },
    {
      flags: '--style <name>',
      help: 'calm, cinematic, documentary, energetic, dreamy, travel, action, vintage or noir',
    },
    {
      flags: '--length <time>',
      help: 'such as 60s (default: what the music has)',
      parse: duration,
    },
    { flags: '--music-from <time>', help: 'where in the music it begins', parse: duration },
    {
      flags: '--seed <n>',
      help: 'the same clips, music, style and seed make the same cuts (default: 0)',
      parse: integerIn(0, 2 ** 32 - 1),
    },
    { flags: '--size <WxH>', help: 'frame size (default: 1920x1080)', parse: frameSize },
    {
      flags: '--fps <rate>',
      help: '24, 25, 30, 48, 50, 60, 23.976, 29.97, 47.952 or 59.94 (default: 30)',
      parse: frameRate,
    },
    {
      flags: '--fit <how>',
      help: 'pictures of other shapes: crop or pad (default: crop where most stays seen)',
      parse: oneOf('crop', 'pad'),
    },
    {
      flags: '--upscale <model>',
      help: 'shots that are smaller than the film go through this model first (furrow models list)',
    },
    {
      flags: '--provider <name>',
      help: 'what runs the model: cpu, cuda, tensorrt, dml, coreml or webgpu (default: cpu; cuda with --vram)',
    },
    {
      flags: '--cpus <n>',
      help: 'CPUs of each unit that runs the model (default: 2; 1 where no agent has more)',
      parse: integerIn(1, 64),
    },
    {
      flags: '--memory <size>',
      help: 'memory of each unit that runs the model, such as 4G (default: about 2G)',
      parse: bytes,
    },
    {
      flags: '--vram <size>',
      help: 'run the model on a GPU with so much memory free, such as 6G',
      parse: bytes,
    },
    { flags: '--enhance', help: 'less noise, sharper edges' },
    { flags: '--stabilize', help: 'steady each shot' },
    { flags: '--stabilise', help: 'the same' },
    { flags: '--proxies', help: 'small copies of the used clips as well, to edit with' },
    { flags: '--with-proxies', help: 'the same' },
    {
      flags: '--clip-sound <share>',
      help: "how loud the clips' own sound is under the music, 0 to 1 (default: 0)",
      parse: numberIn(0, 1),
    },
    {
      flags: '--cuts <file>',
      help: 'render this list instead of choosing: .otio, .edl or .csv, as this command made it and somebody edited it',
    },
    { flags: '--film <name>', help: 'name of the film: .mp4, .mov or .mkv (default: montage.mp4)' },
    { flags: '--encoder <name>', help: 'libx264 or libx265 (default: libx264)' },
    {
      flags: '--crf <n>',
      help: 'constant quality, smaller is better (default: 20)',
      parse: integerIn(1, 51),
    },
    { flags: '--preset <name>', help: "the encoder's preset (default: medium)" },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    [
      'furrow submit montage *.mov --music song.mp3 --style travel --length 60s -o holiday/',
      'cut, render, download film and lists',
    ],
    [
      'furrow submit montage *.mov --music song.mp3 --style calm --upscale anime-x4 -o large/',
      'what is smaller than the film goes through a model of the farm',
    ],
    [
      'furrow submit montage *.mov --music song.mp3 --cuts holiday/cuts.edl -o again/',
      'render the list as it was edited',
    ],
  ],
  async run(paths, options, context) {
    const clips = await Promise.all(paths.map((path) => checkSource(path)));
    const music = await musicOf(options);
    const cuts = options.cuts === undefined ? undefined : await checkSource(options.cuts);
    await refuseFileTarget(options);
    const size = sizeOf(options);
    const workOf = (files: readonly File[]) =>
      ({
        $case: 'montage',
        value: {
          clips: files.slice(0, clips.length),
          music: files[clips.length],
          cuts: files[clips.length + 1],
          style: options.style ?? '',
          lengthMs: options.length ?? 0,
          musicFromMs: options.musicFrom ?? 0,
          seed: options.seed ?? 0,
          width: size.width,
          height: size.height,
          rate: options.fps,
          fit: options.fit ?? '',
          enhance: options.enhance === true,
          stabilize: options.stabilize === true || options.stabilise === true,
          proxies: options.proxies === true || options.withProxies === true,
          clipSound: options.clipSound ?? 0,
          film: options.film ?? '',
          encoder: options.encoder ?? '',
          crf: options.crf ?? 0,
          preset: options.preset ?? '',
          upscale: options.upscale ?? '',
          provider: options.provider ?? '',
          cpus: options.cpus ?? 0,
          ramBytes: options.memory ?? 0,
          vramBytes: options.vram ?? 0,
        },
      }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    const all = [...clips, music, ...(cuts === undefined ? [] : [cuts])];
    const name = `montage of ${basename(clips[0]?.name ?? '')}${clips.length > 1 ? ` and ${clips.length - 1} more` : ''}`;
    return submitWithFiles(all, workOf, name, options, context);
  },
});

async function musicOf({ music }: MontageOptions): Promise<LocalFile> {
  if (music !== undefined) return checkSource(music);
  const message = 'a montage is cut on music: name it with --music';
  throw new FurrowError('invalid', 'OPTION_MISSING', message);
}

/** One side cannot follow from the other: clips have shapes of their own. */
function sizeOf({ size }: MontageOptions): FrameSize {
  if (size === undefined) return { width: 0, height: 0 };
  if (size.width > 0 && size.height > 0) return size;
  const message = 'a montage has a size of two sides, such as --size 1280x720';
  throw new FurrowError('invalid', 'OPTION_INVALID', message);
}

/** Film, lists and proof are several files. */
async function refuseFileTarget(options: MontageOptions): Promise<void> {
  const { output } = options;
  await checkOutputOption(options);
  if (output === undefined || output.endsWith('/') || (await isFolder(output))) return;
  const message = `a montage gives a film and its lists: name a folder, such as '${output}/'`;
  throw new FurrowError('invalid', 'FOLDER_MISSING', message);
}

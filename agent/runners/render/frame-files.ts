/** Frames in a unit's directory: each there, of the right kind and size, and one that decodes. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FilmFault, oneLine, processFault } from '../film/film-fault.ts';
import type { MediaInput } from '../film/ffmpeg-argv.ts';
import { decodeLimitMs } from '../film/media-limits.ts';
import type { MediaProcess } from '../film/media-process.ts';
import { frameName } from './blender.ts';
import { HEADER_BYTES, parsePictureHeader, type PictureHeader } from './picture-file.ts';

export interface WantedFrames {
  readonly frames: readonly number[];
  readonly format: 'png' | 'jpeg' | 'exr';
  /** Pixels; undefined where frames may be smaller. */
  readonly size: { readonly width: number; readonly height: number } | undefined;
}

export interface SeenFrame extends PictureHeader {
  readonly name: string;
}

/** Throws FilmFault `bad-output` with the first that is not as it should be. Answers them in order. */
export async function lookAtFrames(
  media: MediaProcess,
  wanted: WantedFrames,
): Promise<readonly SeenFrame[]> {
  const seen: SeenFrame[] = [];
  for (const frame of wanted.frames) {
    const name = frameName(frame, wanted.format)!;
    if (!(await media.sizeOf(name))) throw bad(`${name} is missing: blender wrote no such frame`);
    const header = parsePictureHeader(await media.firstBytes(name, HEADER_BYTES));
    if (header?.format !== wanted.format) throw bad(`${name} is no ${wanted.format} picture`);
    const { width, height } = wanted.size ?? seen[0] ?? header;
    if (header.width !== width || header.height !== height) {
      throw bad(`${name} is ${header.width}x${header.height}, not ${width}x${height}`);
    }
    seen.push({ name, ...header });
  }
  return seen;
}

/**
 * The frames as one input of ffmpeg, under names of ours: a sequence without a gap. None for EXR, whose decoder
 * is kept from what others made.
 */
export async function sequenceOf(
  directory: string,
  frames: readonly SeenFrame[],
  frameRate: string,
): Promise<MediaInput> {
  const extension = frames[0]?.format === 'jpeg' ? 'jpg' : 'png';
  for (const [i, { name }] of frames.entries()) {
    await symlink(name, join(directory, `picture-${String(i).padStart(6, '0')}.${extension}`));
  }
  return {
    name: `picture-%06d.${extension}`,
    frames: true,
    options: ['-f', 'image2', '-start_number', '0', '-framerate', frameRate],
  };
}

/** Every pixel of every frame is decoded. EXR is taken by its header. */
export async function decodeFrames(
  media: MediaProcess,
  directory: string,
  frames: readonly SeenFrame[],
  onFrame: (frames: number) => void,
): Promise<void> {
  const [first] = frames;
  if (first === undefined || first.format === 'exr') return;
  const input = await sequenceOf(directory, frames, '25/1');
  let decoded = 0;
  const run = await media.ffmpegLines(
    [{ ...input, options: [...(input.options ?? []), '-err_detect', 'explode'] }],
    ['-fps_mode', 'passthrough', '-f', 'framecrc'],
    (line) => {
      if (line.startsWith('#')) return;
      decoded += 1;
      onFrame(decoded);
    },
    { limitMs: decodeLimitMs(frames.length, first.width * first.height) },
  );
  if (!run.ok) throw processFault(run, `looking at ${first.name}`);
  const [said] = run.complaints;
  if (decoded === frames.length && said === undefined) return;
  const name = frames[decoded]?.name ?? first.name;
  throw bad(`${name} does not decode${said === undefined ? '' : `: ${oneLine(said)}`}`);
}

function bad(message: string): FilmFault {
  return new FilmFault('bad-output', message);
}

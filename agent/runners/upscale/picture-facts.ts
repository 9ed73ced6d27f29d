/** What is known of a picture before it goes through a model, by its bytes and not by its name. */
import { join } from 'node:path';
import { z } from 'zod';
import { FilmFault } from '../film/film-fault.ts';
import type { MediaInput } from '../film/ffmpeg-argv.ts';
import type { FilmAttempt } from '../film/film-runner.ts';
import { untrustedInput } from '../film/untrusted-input.ts';
import { pictureFault } from '../infer/picture-fault.ts';
import { PICTURE_DECODERS, type PictureKind } from '../infer/picture-kind.ts';
import type { Orientation } from '../infer/picture-orientation.ts';
import { readPicture } from '../infer/read-picture.ts';

export interface PictureFacts {
  readonly name: string;
  readonly kind: PictureKind;
  /** As stored. */
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation;
  readonly hasAlpha: boolean;
}

const frameSchema = z.object({
  frames: z
    .array(
      z.object({
        width: z.number().int().positive(),
        height: z.number().int().positive(),
        pix_fmt: z.string(),
      }),
    )
    .min(1),
});

const DEMUXERS: Readonly<Record<PictureKind, string>> = {
  png: 'png_pipe',
  jpg: 'jpeg_pipe',
  webp: 'webp_pipe',
  bmp: 'bmp_pipe',
  tif: 'tiff_pipe',
};

const ALPHA = /^(rgba|bgra|argb|abgr|rgba64|bgra64|ya8|ya16|yuva|gbrap|pal8)/;

/** Throws FilmFault `invalid-input` in one line that names the picture. */
export async function lookAtPicture(
  { media, work }: Pick<FilmAttempt<unknown>, 'media' | 'work'>,
  name: string,
): Promise<PictureFacts> {
  const refuse = (why: string): FilmFault => new FilmFault('invalid-input', `${name}: ${why}`);
  if ((await media.sizeOf(name)) === undefined) throw refuse('it is missing');
  const read = await readPicture(join(work.directory, name));
  if ('error' in read) throw refuse(read.error);
  // Said last, these are what counts.
  const fence = [...untrustedInput('picture'), ...decoders(), '-f', DEMUXERS[read.kind]];
  const entries = ['-show_frames', '-read_intervals', '%+#1', '-show_entries'];
  const what = 'frame=width,height,pix_fmt';
  const { run, json } = await media.ffprobeJson(name, [...fence, ...entries, what]);
  const parsed = frameSchema.safeParse(json);
  if (!run.ok || !parsed.success) throw refuse(pictureFault(run.complaints));
  const [frame] = parsed.data.frames;
  const { width, height, pix_fmt: format } = frame!;
  const { kind, orientation } = read;
  return { name, kind, orientation, width, height, hasAlpha: ALPHA.test(format) };
}

/** How ffmpeg opens it: this reader, and decoders of pictures alone. */
export function pictureInput({ name, kind }: PictureFacts): MediaInput {
  return { name, picture: true, options: [...decoders(), '-f', DEMUXERS[kind]] };
}

function decoders(): readonly string[] {
  return ['-codec_whitelist', PICTURE_DECODERS.join(',')];
}

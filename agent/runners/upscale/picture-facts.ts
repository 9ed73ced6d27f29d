/** What is known of a picture before it goes through a model, by its bytes and not by its name. */
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import { z } from 'zod';
import { FilmFault, oneLine } from '../film/film-fault.ts';
import type { MediaInput } from '../film/ffmpeg-argv.ts';
import type { MediaProcess } from '../film/media-process.ts';
import { describePicture } from '../film/picture.ts';
import { untrustedInput } from '../film/untrusted-input.ts';
import {
  KIND_BYTES,
  PICTURE_DECODERS,
  type PictureKind,
  pictureKindOf,
  whyNoPicture,
} from '../infer/picture-kind.ts';

export interface PictureFacts {
  readonly name: string;
  readonly kind: PictureKind;
  /** As stored. */
  readonly width: number;
  readonly height: number;
  /** Turns it as its camera was held: see `picture.ts`. */
  readonly orientation: readonly number[];
  readonly hasAlpha: boolean;
}

const frameSchema = z.object({
  frames: z
    .array(
      z.object({
        width: z.number().int().positive(),
        height: z.number().int().positive(),
        pix_fmt: z.string(),
        side_data_list: z.array(z.record(z.string(), z.unknown())).optional(),
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
export async function lookAtPicture(media: MediaProcess, name: string): Promise<PictureFacts> {
  const refuse = (why: string): FilmFault => new FilmFault('invalid-input', `${name}: ${why}`);
  if ((await media.sizeOf(name)) === undefined) throw refuse('it is missing');
  const first = await media.firstBytes(name, KIND_BYTES);
  const kind = pictureKindOf(first);
  if (kind === undefined) throw refuse(whyNoPicture(first));
  // Said last, these are what counts.
  const fence = [...untrustedInput('picture'), ...decoders(), '-f', DEMUXERS[kind]];
  const entries = ['-show_frames', '-read_intervals', '%+#1', '-show_entries'];
  const what = 'frame=width,height,pix_fmt:frame_side_data';
  const { run, json } = await media.ffprobeJson(name, [...fence, ...entries, what]);
  const parsed = frameSchema.safeParse(json);
  if (!run.ok || !parsed.success) {
    const said = run.complaints.at(-1) ?? 'it has no picture';
    throw refuse(`it cannot be decoded (${oneLine(said)}); up to ${MAX_PIXELS} pixels are taken`);
  }
  const [frame] = parsed.data.frames;
  const { width, height, pix_fmt: format } = frame!;
  const { orientation } = describePicture({ index: 0, ...frame! });
  return { name, kind, width, height, orientation, hasAlpha: ALPHA.test(format) };
}

/** How ffmpeg opens it: this reader, and decoders of pictures alone. */
export function pictureInput({ name, kind }: PictureFacts): MediaInput {
  return { name, picture: true, options: [...decoders(), '-f', DEMUXERS[kind]] };
}

function decoders(): readonly string[] {
  return ['-codec_whitelist', PICTURE_DECODERS.join(',')];
}

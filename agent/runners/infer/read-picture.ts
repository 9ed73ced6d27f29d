/** What a picture's own bytes say of it, before ffmpeg decodes it. */
import { withPictureBytes } from './picture-bytes.ts';
import { KIND_BYTES, type PictureKind, pictureKindOf, whyNoPicture } from './picture-kind.ts';
import { type Orientation, orientationOf } from './picture-orientation.ts';
import { layoutOf, whyUnshown } from './tiff-layout.ts';
import { tiffTags } from './tiff-tags.ts';

export interface KnownPicture {
  readonly kind: PictureKind;
  readonly orientation: Orientation;
  /** One decoder may be given those of a kind of which this is the same, one after the other. */
  readonly layout: string;
}

/** Why it cannot be shown. */
export interface UnknownPicture {
  readonly error: string;
}

/** Rejects with what the disk says. */
export function readPicture(path: string): Promise<KnownPicture | UnknownPicture> {
  return withPictureBytes(path, async (bytes) => {
    const first = await bytes.read(0, KIND_BYTES);
    const kind = pictureKindOf(first);
    if (kind === undefined) return { error: whyNoPicture(first) };
    const tags = kind === 'tif' ? await tiffTags(bytes) : undefined;
    const error = tags && whyUnshown(tags);
    if (error !== undefined) return { error };
    const layout = tags === undefined ? '' : layoutOf(tags);
    return { kind, layout, orientation: await orientationOf(bytes, kind) };
  });
}

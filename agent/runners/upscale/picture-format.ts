/** How an enlarged picture is written, and under which name. Pure. */
import type { UpscaleImagesTask } from '../../../proto/gen/furrow/v1/task_upscale.ts';
import { MAX_PIXELS } from '../../../kit/film-fence.ts';
import type { FrameSize } from '../../models/model-work.ts';
import { FilmFault } from '../film/film-fault.ts';
import type { PictureFacts } from './picture-facts.ts';

const FORMATS = ['png', 'jpg', 'webp'] as const;
type FormatName = (typeof FORMATS)[number];

export interface PictureFormat {
  readonly format: FormatName;
  readonly quality: number;
  readonly hasAlpha: boolean;
  /** What its encoder takes. */
  readonly pixels: string;
  /** The source's own, with the ending of another format behind it where it has another. */
  nameOf(source: string): string;
}

const DEFAULT_QUALITY = 90;
const ENDINGS: Readonly<Record<FormatName, RegExp>> = {
  png: /\.png$/i,
  jpg: /\.jpe?g$/i,
  webp: /\.webp$/i,
};

/** Throws FilmFault `invalid-input`. */
export function pictureFormatOf(task: UpscaleImagesTask, facts: PictureFacts): PictureFormat {
  const own = FORMATS.find((name) => name === facts.kind) ?? 'png';
  const format = task.format === '' ? own : FORMATS.find((name) => name === task.format);
  if (format === undefined) {
    throw new FilmFault(
      'invalid-input',
      `the task asks for ${task.format}: pictures may be png, jpg or webp`,
    );
  }
  const hasAlpha = format !== 'jpg';
  return {
    format,
    quality: task.quality || DEFAULT_QUALITY,
    hasAlpha,
    pixels: pixelsOf(format, facts.hasAlpha),
    nameOf: (source) => (ENDINGS[format].test(source) ? source : `${source}.${format}`),
  };
}

/** Pixels a side; of JPEG as ffmpeg writes it. */
const MOST_SIDE: Readonly<Record<FormatName, number>> = {
  png: Infinity,
  jpg: 65_500,
  webp: 16_383,
};

/** Why no picture of such a size is made, with the remedy. */
export function beyondFormat(format: FormatName, { width, height }: FrameSize): string | undefined {
  if (width * height > MAX_PIXELS) return `beyond ${MAX_PIXELS} pixels: make it smaller first`;
  const most = MOST_SIDE[format];
  if (Math.max(width, height) <= most) return undefined;
  return `beyond the ${most} a side that ${format} can have: use --format png`;
}

function pixelsOf(format: FormatName, hasAlpha: boolean): string {
  if (format === 'jpg') return 'yuvj444p';
  return hasAlpha ? 'rgba' : 'rgb24';
}

export function writingOptions({ format, quality }: PictureFormat): readonly string[] {
  switch (format) {
    case 'png':
      return ['-c:v', 'png', '-f', 'image2', '-update', '1'];
    case 'jpg':
      // From 2, the best, to 31.
      return [
        '-c:v',
        'mjpeg',
        '-q:v',
        String(Math.round(2 + ((100 - quality) * 29) / 99)),
        '-f',
        'image2',
        '-update',
        '1',
      ];
    case 'webp':
      return ['-c:v', 'libwebp', '-quality', String(quality), '-f', 'webp'];
  }
}

/** What each container carries. */
import { extname } from 'node:path';

export type Container = 'mp4' | 'mov' | 'mkv' | 'webm';

const CONTAINERS: readonly Container[] = ['mp4', 'mov', 'mkv', 'webm'];

export function containerOf(film: string): Container | undefined {
  const extension = extname(film).slice(1).toLowerCase();
  return CONTAINERS.find((container) => container === extension);
}

/** Muxer name for `-f`, and what makes the container pleasant to use. */
export function muxerOptions(container: Container): readonly string[] {
  switch (container) {
    case 'mp4':
    case 'mov':
      // The index goes to the front, so that a player on the network starts at once.
      return ['-movflags', '+faststart', '-f', container];
    case 'mkv':
      return ['-f', 'matroska'];
    case 'webm':
      return ['-f', 'webm'];
  }
}

const TEXT_SUBTITLES: ReadonlySet<string> = new Set([
  'subrip',
  'ass',
  'ssa',
  'webvtt',
  'mov_text',
  'text',
]);

/** Pictures instead of letters; Matroska holds them as they are. */
const PICTURE_SUBTITLES: ReadonlySet<string> = new Set([
  'hdmv_pgs_subtitle',
  'dvd_subtitle',
  'dvb_subtitle',
]);

/** Fonts and pictures that lie beside the tracks. */
export function attachmentsIn(container: Container): boolean {
  return container === 'mkv';
}

/** Codec for a subtitle track in a container; undefined when it cannot be carried. */
export function subtitleCodec(container: Container, codec: string): string | undefined {
  const text = TEXT_SUBTITLES.has(codec);
  switch (container) {
    case 'mp4':
    case 'mov':
      if (codec === 'mov_text') return 'copy';
      return text ? 'mov_text' : undefined;
    case 'mkv':
      // Matroska has no place for MP4's own text format.
      if (codec === 'mov_text' || codec === 'text') return 'subrip';
      return text || PICTURE_SUBTITLES.has(codec) ? 'copy' : undefined;
    case 'webm':
      if (codec === 'webvtt') return 'copy';
      return text ? 'webvtt' : undefined;
  }
}

/** Music is handed to ffmpeg as films are, but may be of formats that hold sound alone. */
import { FILM_DEMUXERS } from '../../../kit/film-fence.ts';
import type { MediaInput } from '../film/ffmpeg-argv.ts';

/** None of these opens another file. */
const SOUND_DEMUXERS = ['mp3', 'wav', 'w64', 'flac', 'aac', 'aiff', 'ac3', 'eac3', 'caf'];

/** Replaces the list of the fence, which was said before it. */
const SOUND_FENCE = ['-format_whitelist', [...FILM_DEMUXERS, ...SOUND_DEMUXERS].join(',')];

export function soundInput(name: string, options: readonly string[] = []): MediaInput {
  return { name, options: [...SOUND_FENCE, ...options] };
}

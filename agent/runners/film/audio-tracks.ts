/** Which audio tracks of a source its film gets, and with which channels. Pure. */
import type { AudioTrackChoice } from '../../../proto/gen/furrow/v1/task.ts';
import { FilmFault } from './film-fault.ts';
import { MAX_LABEL_LENGTH } from './media-limits.ts';
import { streamsOf, type MediaFacts, type MediaStream } from './source-facts.ts';
import { canonicalLanguage } from './track-language.ts';

/** In the source's order. Throws FilmFault `invalid-input` when no track has a wanted language. */
export function chosenTracks(
  source: string,
  facts: MediaFacts,
  choice: AudioTrackChoice | undefined,
): readonly MediaStream[] {
  const tracks = streamsOf(facts, 'audio');
  const { languages = [], first = false } = choice ?? {};
  if (tracks.length === 0) return tracks;
  const missing = languages.find((language) => !tracks.some((track) => speaks(track, language)));
  if (missing !== undefined) {
    const there = [...new Set(tracks.map((track) => track.tags?.['language'] ?? 'und'))];
    throw new FilmFault(
      'invalid-input',
      `${source} has no audio in ${missing}: it has ${there.join(', ').slice(0, MAX_LABEL_LENGTH)}`,
    );
  }
  const chosen =
    languages.length === 0
      ? tracks
      : tracks.filter((track) => languages.some((language) => speaks(track, language)));
  return first ? chosen.slice(0, 1) : chosen;
}

/** `de`, `deu` and `ger` are one language; `pt-BR` is one of `pt`, and `pt` none of `pt-BR`. */
function speaks(track: MediaStream, language: string): boolean {
  const [there, wanted] = [
    canonicalLanguage(track.tags?.['language'] ?? 'und'),
    canonicalLanguage(language),
  ];
  return there === wanted || there.startsWith(`${wanted}-`);
}

/**
 * Arrangements of channels that an encoder keeps. ffmpeg's AAC writes others in a way that many players
 * misread, and libopus refuses them, among them the 5.1 of every DVD, whose surrounds are at the sides.
 */
const KEPT_LAYOUTS: Readonly<Record<string, string>> = {
  aac: 'mono|stereo|2.1|3.0|3.0(back)|4.0|quad|quad(side)|5.0|5.1|7.1',
  libopus: 'mono|stereo|3.0|quad|5.0|5.1|6.1|7.1',
};

/** AAC's own default is one rate for any number of channels: what does for two is little for six. */
const AAC_BITS_A_CHANNEL = 64_000;

/** Options that encode the output's audio track `index` from this track of the source. */
export function trackOptions(
  track: MediaStream,
  index: number,
  encoder: string,
  bitrateBps: number,
): readonly string[] {
  const options = ['-map', `0:${track.index}`, `-c:a:${index}`, encoder];
  if (encoder === 'copy') return options;
  const layouts = KEPT_LAYOUTS[encoder];
  if (layouts !== undefined) {
    options.push(`-filter:a:${index}`, `aformat=channel_layouts=${layouts}`);
  }
  const channels = track.channels ?? 2;
  const usual = encoder === 'aac' && channels > 2 ? channels * AAC_BITS_A_CHANNEL : 0;
  const bits = bitrateBps || usual;
  return bits > 0 ? [...options, `-b:a:${index}`, String(bits)] : options;
}

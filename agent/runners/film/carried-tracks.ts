/**
 * What of a source besides its picture a film gets, and under which labels: audio, subtitles,
 * attachments, chapters and tags, as far as the container can hold them. Concat joins by it and the proof
 * holds the film against it. Pure.
 */
import { attachmentsIn, subtitleCodec, type Container } from './container.ts';
import type { SourceTrack } from './film-plan.ts';
import { languageIn } from './track-language.ts';

export interface CarriedSubtitles {
  readonly track: SourceTrack;
  /** `copy`, or the text format that it becomes. */
  readonly codec: string;
}

export interface CarriedTracks {
  /** In the film's order. */
  readonly audio: readonly SourceTrack[];
  readonly subtitles: readonly CarriedSubtitles[];
  readonly attachments: readonly SourceTrack[];
  /** What is left out, a line each, with the reason. */
  readonly left: readonly string[];
}

/** `audio`: streams of the source that were encoded; undefined for all of them. */
export function carriedTracks(
  container: Container,
  tracks: readonly SourceTrack[],
  audio: readonly number[] | undefined,
): CarriedTracks {
  const ofType = (type: string): SourceTrack[] => tracks.filter((track) => track.type === type);
  const subtitles: CarriedSubtitles[] = [];
  const left: string[] = [];
  for (const track of ofType('subtitle')) {
    const codec = subtitleCodec(container, track.codec ?? '');
    if (codec !== undefined) subtitles.push({ track, codec });
    else left.push(`${named('subtitles', track)} left out: ${whySubtitles(container, track)}`);
  }
  const attachments = ofType('attachment');
  const holds = attachmentsIn(container);
  if (attachments.length > 0 && !holds) {
    left.push(`${attachments.length} attachments left out: only .mkv has a place for them`);
  }
  const [, ...others] = ofType('video');
  if (others.length > 0) {
    left.push(`${others.length} further pictures left out (covers or second videos)`);
  }
  return {
    audio: ofType('audio').filter(({ index }) => audio?.includes(index) ?? true),
    subtitles,
    attachments: holds ? attachments : [],
    left,
  };
}

const named = (what: string, { codec, language }: SourceTrack): string =>
  `${what} of kind ${codec ?? 'unknown'}${language === undefined ? '' : ` (${language})`}`;

function whySubtitles(container: Container, { codec }: SourceTrack): string {
  return subtitleCodec('mkv', codec ?? '') === undefined
    ? 'no container has a place for them'
    : `.${container} holds text only, .mkv would hold them`;
}

/**
 * Options for the film's muxer. Inputs: the audio's file, where there is one, and the source. Streams' own
 * labels are said one by one: `-map_metadata:s` would lose attachments' types.
 */
export function carriedOptions(
  carried: CarriedTracks,
  container: Container,
  inputs: { readonly audio: number | undefined; readonly source: number | undefined },
): string[] {
  const { audio, source } = inputs;
  return [
    ...(audio === undefined ? [] : ['-map', `${audio}:a`]),
    ...carried.audio.flatMap((track, i) => labelsOf(track, container, `a:${i}`)),
    ...(source === undefined
      ? []
      : ['-map_metadata', String(source), '-map_chapters', String(source)]),
    ...carried.subtitles.flatMap(({ track, codec }, i) => [
      '-map',
      `${source}:${track.index}`,
      `-c:s:${i}`,
      codec,
      ...labelsOf(track, container, `s:${i}`),
    ]),
    ...(carried.attachments.length > 0 ? ['-map', `${source}:t`] : []),
  ];
}

/** What a track is for is said of each, or ffmpeg would guess which one is the default. */
function labelsOf(
  { language, title, dispositions = [] }: SourceTrack,
  container: Container,
  specifier: string,
): string[] {
  const labels: [string, string][] = [];
  if (language !== undefined) labels.push(['language', languageIn(container, language)]);
  if (title !== undefined) labels.push(['title', title]);
  // MP4 has no titles of tracks; players show the handler's name instead.
  if (title !== undefined && isQuickTime(container)) labels.push(['handler_name', title]);
  return [
    ...labels.flatMap(([key, value]) => [`-metadata:s:${specifier}`, `${key}=${value}`]),
    `-disposition:${specifier}`,
    dispositions.length === 0 ? '0' : dispositions.join('+'),
  ];
}

const isQuickTime = (container: Container): boolean => container === 'mp4' || container === 'mov';

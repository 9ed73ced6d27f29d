/**
 * Holds what a film carries besides its picture against the source: which tracks there are, of which
 * codec and language, what they are for, how many subtitles are said, where chapters begin, what is
 * attached. When audio begins and ends is `audio-span.ts`'s to check.
 */
import type { Check } from '../../../kit/proof-report.ts';
import type { ProveFilmTask } from '../../../proto/gen/furrow/v1/task.ts';
import { readAudioFacts, type AudioFacts } from './audio-facts.ts';
import { carriedTracks, type CarriedTracks } from './carried-tracks.ts';
import { containerOf, type Container } from './container.ts';
import type { FilmAttempt } from './film-runner.ts';
import type { FilmPlan, SourceTrack } from './film-plan.ts';
import { readLimitMs } from './media-limits.ts';
import type { MediaProcess } from './media-process.ts';
import {
  containerStartUs,
  probeSourceWithChapters,
  tracksOf,
  type MediaFacts,
} from './source-facts.ts';
import { languageIn } from './track-language.ts';

type ProofAttempt = FilmAttempt<ProveFilmTask>;

/** No check for what the source has not got. `film`: with its chapters. */
export async function carriedChecks(
  { media, task, work }: ProofAttempt,
  plan: FilmPlan,
  film: MediaFacts,
): Promise<Check[]> {
  const container = containerOf(task.film);
  if (container === undefined) return [];
  const known = await readAudioFacts(work.directory);
  const source = await probeSourceWithChapters(media, task.source);
  const tracks = plan.source.tracks ?? tracksOf(source);
  const carried = carriedTracks(
    container,
    tracks,
    known?.tracks?.map(({ index }) => index),
  );
  const found = tracksOf(film);
  return [
    ...audioLabels(container, carried, known, found),
    ...subtitleLabels(container, carried, found),
    ...(await subtitleEvents(media, task, carried, found)),
    ...attachmentCheck(carried, found),
    ...chapterCheck(container, source, film),
  ];
}

const ofType = (tracks: readonly SourceTrack[], type: string): SourceTrack[] =>
  tracks.filter((track) => track.type === type);

/** The same list on both sides, or what differs first. */
function sameList(
  check: string,
  expected: readonly string[],
  found: readonly string[],
): readonly Check[] {
  const at = expected.findIndex((text, i) => text !== found[i]);
  const isSame = at < 0 && expected.length === found.length;
  const first = at < 0 ? expected.length : at;
  const finding = `${check}: number ${first} is ${found[first] ?? 'missing'}, not ${expected[first] ?? 'there in the source'}`;
  return [
    {
      check,
      expected: expected.join('; '),
      found: found.join('; '),
      finding: isSame ? undefined : finding,
    },
  ];
}

function audioLabels(
  container: Container,
  { audio }: CarriedTracks,
  known: AudioFacts | undefined,
  found: readonly SourceTrack[],
): readonly Check[] {
  const inFilm = ofType(found, 'audio');
  if (audio.length === 0 && inFilm.length === 0) return [];
  const expected = audio.map((track, i) => {
    const made = known?.tracks?.[i];
    const codec = made?.codec ?? inFilm[i]?.codec;
    return words(container, { ...track, codec, channels: made?.channels ?? track.channels });
  });
  const there = inFilm.map((track, i) => words(container, asked(track, audio[i])));
  return sameList('audio: codec, channels, language, use', expected, there);
}

function subtitleLabels(
  container: Container,
  { subtitles }: CarriedTracks,
  found: readonly SourceTrack[],
): readonly Check[] {
  const inFilm = ofType(found, 'subtitle');
  if (subtitles.length === 0 && inFilm.length === 0) return [];
  const expected = subtitles.map(({ track, codec }) =>
    words(container, { ...track, codec: codec === 'copy' ? track.codec : codec }),
  );
  const there = inFilm.map((track, i) => words(container, asked(track, subtitles[i]?.track)));
  return sameList('subtitles: codec, language, use', expected, there);
}

/** Uses that each container keeps; what a muxer says on top (a first track is the default) is no fault. */
function provenUses(container: Container): readonly string[] {
  return container === 'mov' ? ['default'] : ['default', 'forced'];
}

function words(container: Container, track: SourceTrack): string {
  const uses = (track.dispositions ?? []).filter((use) => provenUses(container).includes(use));
  const channels = track.channels === undefined ? [] : [`${track.channels} ch`];
  return [track.codec ?? '?', ...channels, languageIn(container, track.language), ...uses].join(
    ' ',
  );
}

/** The film's track, with no more uses than were asked for. */
function asked(track: SourceTrack, wanted: SourceTrack | undefined): SourceTrack {
  const uses = wanted?.dispositions ?? track.dispositions ?? [];
  return { ...track, dispositions: track.dispositions?.filter((use) => uses.includes(use)) };
}

/** MP4 fills the gaps between texts with empty ones, of a length and nothing else. */
const EMPTY_TEXT_BYTES = 2;

/** Each subtitle once: counted by reading both files through, which no index tells. */
async function subtitleEvents(
  media: MediaProcess,
  { source, film }: ProveFilmTask,
  { subtitles }: CarriedTracks,
  found: readonly SourceTrack[],
): Promise<readonly Check[]> {
  if (subtitles.length === 0) return [];
  const [before, after] = await Promise.all([events(media, source), events(media, film)]);
  const inFilm = ofType(found, 'subtitle');
  const expected = subtitles.map(({ track }) => String(before.get(track.index) ?? 0));
  const there = inFilm.map(({ index }) => String(after.get(index) ?? 0));
  return sameList('subtitles: texts or pictures in each', expected, there);
}

/** By stream: packets that say something. */
async function events(media: MediaProcess, name: string): Promise<ReadonlyMap<number, number>> {
  const counts = new Map<number, number>();
  const options = ['-select_streams', 's', '-show_entries', 'packet=stream_index,size'];
  const limitMs = readLimitMs((await media.sizeOf(name)) ?? 0);
  await media.ffprobeLines(
    name,
    [...options, '-of', 'csv=p=0'],
    (line) => {
      const [stream, size] = line.split(',').map(Number);
      if (stream === undefined || !Number.isInteger(stream)) return;
      const isEmpty = (size ?? 0) <= EMPTY_TEXT_BYTES;
      counts.set(stream, (counts.get(stream) ?? 0) + (isEmpty ? 0 : 1));
    },
    { limitMs },
  );
  return counts;
}

function attachmentCheck(
  { attachments }: CarriedTracks,
  found: readonly SourceTrack[],
): readonly Check[] {
  const there = ofType(found, 'attachment').length;
  if (attachments.length === 0 && there === 0) return [];
  const finding =
    there === attachments.length
      ? undefined
      : `it has ${there} attachments, the source ${attachments.length}`;
  return [{ check: 'attachments', expected: attachments.length, found: there, finding }];
}

/** The coarsest clock that a container has for chapters. */
const CHAPTER_TICK_SECONDS = 0.001;

/** Counted from the container's start, as ffmpeg carries them over; what ended before it is left out. */
function chapterCheck(
  container: Container,
  source: MediaFacts,
  { chapters: after = [] }: MediaFacts,
): readonly Check[] {
  const { chapters: before = [] } = source;
  if (before.length === 0 && after.length === 0) return [];
  const startSeconds = containerStartUs(source) / 1e6;
  const wanted = before
    .filter(({ end_time }) => end_time > startSeconds)
    .map(({ start_time }) => Math.max(0, start_time - startSeconds));
  // Chapters of MP4 leave no gap: its first begins with the film.
  if (
    container !== 'mkv' &&
    container !== 'webm' &&
    after[0]?.start_time === 0 &&
    wanted.length > 0
  ) {
    wanted[0] = 0;
  }
  const off = wanted.map((start, i) => Math.abs((after[i]?.start_time ?? Infinity) - start));
  const worst = Math.max(0, ...off);
  const hasAll = wanted.length === after.length;
  const finding = hasAll
    ? `chapter ${off.indexOf(worst)} begins ${worst.toFixed(3)} s off`
    : `it has ${after.length} chapters, the source ${wanted.length}`;
  return [
    {
      check: 'chapters, each at its time',
      expected: wanted.length,
      found: after.length,
      finding: hasAll && worst <= CHAPTER_TICK_SECONDS + 1e-6 ? undefined : finding,
    },
  ];
}

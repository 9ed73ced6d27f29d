/**
 * Packages the films of one ladder for players on the web: each picture and each sound a file of fragments, text
 * subtitles as WebVTT, playlists of them. Packets go in as they are; the same files serve HLS and DASH.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unsafeName } from '../../../kit/safe-name.ts';
import type { PackagedFilm, PackageFilmsTask } from '../../../proto/gen/furrow/v1/task_package.ts';
import type { MediaOutput } from '../film/ffmpeg-argv.ts';
import { FilmFault, processFault } from '../film/film-fault.ts';
import { filmFrameCount, filmPieces, filmTimeBase, filmTimeline } from '../film/film-frames.ts';
import { readPlan, type FilmPlan } from '../film/film-plan.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { takeLines } from '../film/list-file.ts';
import { readLimitMs } from '../film/media-limits.ts';
import { FRAMEHASH, parsePacketHash } from '../film/packet-digest.ts';
import {
  pictureStream,
  probeMedia,
  streamsOf,
  type MediaFacts,
  type MediaStream,
} from '../film/source-facts.ts';
import { parseTimeBase, secondsOf } from '../film/timeline.ts';
import { dashManifest } from './dash-manifest.ts';
import { hlsPlaylists } from './hls-playlists.ts';
import { writeIndexedFile, type IndexedFile, type IndexWishes } from './indexed-file.ts';
import {
  labels,
  MANIFEST_NAME,
  pictureFile,
  soundFile,
  subtitleFile,
  type FilmPackage,
  type PackagedPicture,
  type PackagedSound,
} from './layout.ts';

type PackageAttempt = FilmAttempt<PackageFilmsTask>;

export const packageFilmsRunner = filmRunner('packageFilms', packageFilms);

async function packageFilms(attempt: PackageAttempt): Promise<void> {
  const { work, task, context } = attempt;
  refuseUnsafeFolder(task);
  const plan = await readPlan(work.directory);
  const films = await filmsThere(attempt, task.films);
  await mkdir(join(work.directory, task.name), { recursive: true });
  const pictures: PackagedPicture[] = [];
  let sounds: PackagedSound[] = [];
  let subtitles: FilmPackage['subtitles'] = [];
  for (const [i, film] of films.entries()) {
    const facts = await probeMedia(attempt.media, film.film);
    // Sound and subtitles are the same in all films.
    const taken = tracksTaken(film.film, facts, i === 0);
    const made = await fragment(attempt, plan, film, taken);
    pictures.push(made.picture);
    if (i === 0) {
      sounds = labels(taken.sounds.map(labelled), 'audio').map((label, track) => ({
        ...label,
        file: soundFile(track),
        index: made.sounds[track]!,
      }));
      subtitles = labels(taken.subtitles.map(labelled), 'subtitles').map((label, track) => ({
        ...label,
        file: subtitleFile(track),
      }));
    }
    context.progress((i + 1) / films.length, i + 1, `${i + 1} of ${films.length} films`);
  }
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const length = secondsOf(times.at(-1)! - times[0]! + lastFrameTicks, timeBase);
  const start = pictures[0]!.index.startTicks / pictures[0]!.index.timescale;
  const frameRate = filmFrameCount(plan) / Math.max(length, 1e-6);
  const made = { seconds: start + length, frameRate, pictures, sounds, subtitles };
  await writePlaylists(attempt, made);
}

/** A coordinator checks it; what is written would follow a path wherever it leads. */
export function refuseUnsafeFolder({ name }: { readonly name: string }): void {
  const why = unsafeName(name);
  if (why === undefined) return;
  throw new FilmFault('invalid-input', `the task names a folder ${JSON.stringify(name)}: ${why}`);
}

async function writePlaylists({ work, task }: PackageAttempt, made: FilmPackage): Promise<void> {
  const texts = new Map(task.packaging?.hls === true ? hlsPlaylists(made) : []);
  if (task.packaging?.dash === true) texts.set(MANIFEST_NAME, dashManifest(made));
  for (const [file, text] of texts) await writeFile(join(work.directory, task.name, file), text);
}

/** Those that were not left out, the largest first. */
export async function filmsThere(
  { media }: Pick<PackageAttempt, 'media'>,
  films: readonly PackagedFilm[],
): Promise<PackagedFilm[]> {
  const there: PackagedFilm[] = [];
  for (const film of films) {
    if ((await media.sizeOf(film.film)) !== undefined) there.push(film);
  }
  if (there.length === 0) throw new FilmFault('bad-output', 'there is no film to package');
  return there.toSorted((a, b) => b.lines - a.lines);
}

interface TakenTracks {
  readonly picture: MediaStream;
  readonly sounds: readonly MediaStream[];
  readonly subtitles: readonly MediaStream[];
}

/** Of subtitles text only; those of a film in MP4 may be pictures. */
export function tracksTaken(film: string, facts: MediaFacts, withSound: boolean): TakenTracks {
  const picture = pictureStream(facts);
  const codec = picture?.codec_name ?? 'no video';
  if (picture === undefined || (codec !== 'h264' && codec !== 'hevc')) {
    const message = `${film} is ${codec}: a package holds H.264 or HEVC, choose such an encoder`;
    throw new FilmFault('invalid-input', message);
  }
  if (!withSound) return { picture, sounds: [], subtitles: [] };
  const sounds = streamsOf(facts, 'audio');
  const other = sounds.find(({ codec_name: name }) => name !== 'aac');
  if (other !== undefined) {
    const message = `the audio of ${film} is ${other.codec_name}: a package holds AAC, use --audio aac`;
    throw new FilmFault('invalid-input', message);
  }
  const texts = streamsOf(facts, 'subtitle').filter(({ codec_name: name }) => name === 'mov_text');
  return { picture, sounds, subtitles: texts };
}

const labelled = ({ tags }: MediaStream): { language?: string; title?: string } => ({
  ...(tags?.['language'] !== undefined && { language: tags['language'] }),
  ...(tags?.['title'] !== undefined && { title: tags['title'] }),
});

const FRAGMENTS = 'empty_moov+default_base_moof+skip_trailer';
/** No chapters, which would be a track more; no timecode's track. */
const ALONE = '-map_chapters -1 -map_metadata -1 -write_tmcd 0 -use_editlist 0 -f mp4'.split(' ');
/** Of a picture's packets: more than any encoder reorders. */
const FIRST_PACKETS = '64';

interface Made {
  readonly picture: PackagedPicture;
  readonly sounds: readonly IndexedFile[];
}

async function fragment(
  attempt: PackageAttempt,
  plan: FilmPlan,
  { film, lines }: PackagedFilm,
  { picture, sounds, subtitles }: TakenTracks,
): Promise<Made> {
  const { media, task, work } = attempt;
  const parts = [
    partOf(task.name, picture, [
      ['-video_track_timescale', String(filmTimeBase(plan).den)],
      ['-tag:v', picture.codec_name === 'hevc' ? 'hvc1' : 'avc1'],
      ['-movflags', `${FRAGMENTS}+frag_keyframe`],
    ]),
    ...sounds.map((sound) =>
      partOf(task.name, sound, [
        ['-frag_duration', String(task.pieceMs * 1000)],
        ['-movflags', FRAGMENTS],
      ]),
    ),
  ];
  const texts = subtitles.map(({ index }, i) => ({
    name: { file: `${task.name}/${subtitleFile(i)}` },
    options: ['-map', `0:${index}`, '-c:s', 'webvtt', '-f', 'webvtt'],
  }));
  const limits = { limitMs: readLimitMs(2 * ((await media.sizeOf(film)) ?? 0)) };
  const run = await media.ffmpeg([{ name: film }], [...parts.flat(), ...texts], undefined, limits);
  if (!run.ok) throw processFault(run, `packaging ${film}`);
  const folder = join(work.directory, task.name);
  const segmentSamples = filmPieces(plan).map(({ frames }) => frames);
  const file = pictureFile(lines);
  const { times, timeBase, lastFrameTicks } = filmTimeline(plan);
  const length = { ticks: times.at(-1)! - times[0]! + lastFrameTicks, timeBase };
  const index = await indexed(folder, picture, file, { segmentSamples, length });
  const heard: IndexedFile[] = [];
  for (const [i, sound] of sounds.entries())
    heard.push(await indexed(folder, sound, soundFile(i), {}));
  return { picture: { file, index }, sounds: heard };
}

const partName = ({ index }: MediaStream): string => `track-${index}.part`;
const firstName = ({ index }: MediaStream): string => `track-${index}.txt`;

/** A stream of the film in fragments, and the times of its first packets by the film's clock. */
function partOf(folder: string, stream: MediaStream, options: readonly string[][]): MediaOutput[] {
  const map = ['-map', `0:${stream.index}`];
  const first = ['-frames', stream.codec_type === 'video' ? FIRST_PACKETS : '1'];
  return [
    {
      name: { file: `${folder}/${partName(stream)}` },
      options: [...map, '-c', 'copy', ...options.flat(), ...ALONE],
    },
    { name: { file: `${folder}/${firstName(stream)}` }, options: [...map, ...first, ...FRAMEHASH] },
  ];
}

async function indexed(
  folder: string,
  stream: MediaStream,
  file: string,
  wishes: Omit<IndexWishes, 'start'>,
): Promise<IndexedFile> {
  let first = Infinity;
  await takeLines(folder, firstName(stream), (line) => {
    first = Math.min(first, parsePacketHash(line)?.pts ?? Infinity);
  });
  const part = join(folder, partName(stream));
  const base = parseTimeBase(stream.time_base);
  if (base === undefined || !Number.isFinite(first)) {
    throw new FilmFault('bad-output', `the film has no packets for ${file}`);
  }
  const start = { ticks: first, timeBase: base };
  const made = await writeIndexedFile(part, join(folder, file), file, { start, ...wishes });
  await rm(part);
  return made;
}

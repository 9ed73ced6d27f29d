/** HTTP Live Streaming (RFC 8216): the playlists of a package, each a text under its name. Pure. */
import type { IndexedFile } from './indexed-file.ts';
import {
  bitRates,
  MASTER_NAME,
  playlistOf,
  type BitRates,
  type FilmPackage,
  type PackagedPicture,
  type TrackLabel,
} from './layout.ts';

const SOUNDS = 'sound';
const SUBTITLES = 'subtitles';

export function hlsPlaylists(made: FilmPackage): ReadonlyMap<string, string> {
  const { pictures, sounds, subtitles, seconds } = made;
  return new Map([
    [MASTER_NAME, masterPlaylist(made)],
    ...[...pictures, ...sounds].map(
      ({ file, index }) => [playlistOf(file), mediaPlaylist(file, index)] as const,
    ),
    ...subtitles.map(({ file }) => [playlistOf(file), textPlaylist(file, seconds)] as const),
  ]);
}

function masterPlaylist(made: FilmPackage): string {
  const { pictures, sounds, subtitles } = made;
  const lines = ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS'];
  for (const [i, sound] of sounds.entries()) {
    const rest = [
      ...labelWords(sound),
      ...(i === 0 ? ['DEFAULT=YES'] : ['DEFAULT=NO']),
      'AUTOSELECT=YES',
      `CHANNELS="${sound.index.channels}"`,
      `URI="${playlistOf(sound.file)}"`,
    ];
    lines.push(`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="${SOUNDS}",${rest.join(',')}`);
  }
  for (const text of subtitles) {
    const rest = [...labelWords(text), 'DEFAULT=NO', 'AUTOSELECT=YES', 'FORCED=NO'];
    const uri = `URI="${playlistOf(text.file)}"`;
    lines.push(`#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="${SUBTITLES}",${[...rest, uri].join(',')}`);
  }
  const heard = sounds.map(({ index }) => bitRates(index));
  const loudest: BitRates = {
    peak: heard.reduce((most, { peak }) => Math.max(most, peak), 0),
    average: heard.reduce((most, { average }) => Math.max(most, average), 0),
  };
  for (const picture of pictures) lines.push(...variant(picture, loudest, made));
  return `${lines.join('\n')}\n`;
}

function labelWords({ name, language }: TrackLabel): string[] {
  return [`NAME="${name}"`, ...(language === undefined ? [] : [`LANGUAGE="${language}"`])];
}

function variant({ file, index }: PackagedPicture, loudest: BitRates, made: FilmPackage): string[] {
  const { peak, average } = bitRates(index);
  const codecs = [index.codec, ...new Set(made.sounds.map((sound) => sound.index.codec))];
  const words = [
    `BANDWIDTH=${peak + loudest.peak}`,
    `AVERAGE-BANDWIDTH=${average + loudest.average}`,
    `CODECS="${codecs.join(',')}"`,
    `RESOLUTION=${index.width}x${index.height}`,
    `FRAME-RATE=${made.frameRate.toFixed(3)}`,
    ...(made.sounds.length > 0 ? [`AUDIO="${SOUNDS}"`] : []),
    ...(made.subtitles.length > 0 ? [`SUBTITLES="${SUBTITLES}"`] : []),
  ];
  return [`#EXT-X-STREAM-INF:${words.join(',')}`, playlistOf(file)];
}

function mediaPlaylist(file: string, index: IndexedFile): string {
  const { segments, timescale, headerBytes } = index;
  const lengths = segments.map(({ ticks }) => ticks / timescale);
  return [
    ...playlistHead(lengths),
    '#EXT-X-INDEPENDENT-SEGMENTS',
    `#EXT-X-MAP:URI="${file}",BYTERANGE="${headerBytes}@0"`,
    ...segments.flatMap(({ start, bytes }, i) => [
      `#EXTINF:${lengths[i]!.toFixed(6)},`,
      `#EXT-X-BYTERANGE:${bytes}@${start}`,
      file,
    ]),
    '#EXT-X-ENDLIST',
    '',
  ].join('\n');
}

/** One segment: subtitles of a whole film are smaller than one of its picture's. */
function textPlaylist(file: string, seconds: number): string {
  const segment = [`#EXTINF:${seconds.toFixed(6)},`, file, '#EXT-X-ENDLIST', ''];
  return [...playlistHead([seconds]), ...segment].join('\n');
}

function playlistHead(lengths: readonly number[]): string[] {
  const longest = lengths.reduce((most, length) => Math.max(most, Math.round(length)), 1);
  return [
    '#EXTM3U',
    '#EXT-X-VERSION:7',
    `#EXT-X-TARGETDURATION:${longest}`,
    '#EXT-X-MEDIA-SEQUENCE:0',
    '#EXT-X-PLAYLIST-TYPE:VOD',
  ];
}

/** Whether playlists and manifest lead a player to every file of a package, and to the right bytes of it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '../../../kit/proof-report.ts';
import type { Packaging } from '../../../proto/gen/furrow/v1/task_package.ts';
import { MANIFEST_NAME, MASTER_NAME, playlistOf } from './layout.ts';
import { readManifest, type ReadRepresentation } from './read-dash.ts';
import { readMaster, readPlaylist } from './read-hls.ts';
import type { ReadIndex } from './read-index.ts';

/** By file. */
export interface PackageFiles {
  readonly pictures: ReadonlyMap<string, ReadIndex>;
  readonly sounds: ReadonlyMap<string, ReadIndex>;
  readonly texts: readonly string[];
  /** From 0 to the end of the last frame; and where the first begins. */
  readonly seconds: number;
  readonly startSeconds: number;
}

export async function addressChecks(
  folder: string,
  packaging: Packaging | undefined,
  files: PackageFiles,
): Promise<Check[]> {
  const read = (name: string): Promise<string> =>
    readFile(join(folder, name), 'utf8').catch(() => '');
  const checks: Check[] = [];
  if (packaging?.hls === true) {
    checks.push(masterCheck(await read(MASTER_NAME), files));
    for (const [file, index] of [...files.pictures, ...files.sounds]) {
      const name = playlistOf(file);
      checks.push(playlistCheck(name, await read(name), file, index));
    }
    for (const file of files.texts) {
      const name = playlistOf(file);
      const { segments } = readPlaylist(await read(name), name);
      const isIt = segments.length === 1 && segments[0]?.file === file;
      checks.push(checked(`text that ${name} leads to`, 1, segments.length, isIt));
    }
  }
  if (packaging?.dash === true) checks.push(manifestCheck(await read(MANIFEST_NAME), files));
  return checks;
}

function checked(check: string, expected: number, found: number, isWell: boolean): Check {
  return { check, expected, found, finding: isWell ? undefined : `${check}: not as it should be` };
}

/** Each variant names a film's playlist, with its coding, its size, and at least its bits a second. */
export function masterCheck(text: string, { pictures, sounds, texts }: PackageFiles): Check {
  const { variants, media } = readMaster(text, MASTER_NAME);
  const wanted = new Map([...pictures].map(([file, index]) => [playlistOf(file), index]));
  const heard = new Set([...sounds.values()].map(({ track }) => track.codec));
  const loudest = [...sounds.values()].reduce((most, index) => Math.max(most, peakOf(index)), 0);
  const fit = variants.filter(({ uri, attributes }) => {
    const index = wanted.get(uri);
    if (index === undefined || !wanted.delete(uri)) return false;
    const { codec, width, height } = index.track;
    return (
      attributes.get('CODECS') === [codec, ...heard].join(',') &&
      attributes.get('RESOLUTION') === `${width}x${height}` &&
      Number(attributes.get('BANDWIDTH')) >= peakOf(index) + loudest &&
      Number(attributes.get('AVERAGE-BANDWIDTH')) <= Number(attributes.get('BANDWIDTH')) &&
      attributes.has('AUDIO') === sounds.size > 0 &&
      attributes.has('SUBTITLES') === texts.length > 0
    );
  });
  const others = media.map((words) => words.get('URI') ?? '').toSorted();
  const renditions = [...sounds.keys(), ...texts].map((file) => playlistOf(file)).toSorted();
  const isWell =
    fit.length === variants.length &&
    wanted.size === 0 &&
    others.join('\n') === renditions.join('\n') &&
    new Set(media.map((words) => `${words.get('TYPE')} ${words.get('NAME')}`)).size ===
      media.length;
  return checked(`films that ${MASTER_NAME} leads to`, pictures.size, fit.length, isWell);
}

const peakOf = ({ segments }: ReadIndex): number =>
  segments.reduce((most, { bytes, seconds }) => Math.max(most, (bytes * 8) / seconds), 0);

/** Header and segments are those of the file's own index, byte for byte. */
export function playlistCheck(name: string, text: string, file: string, index: ReadIndex): Check {
  const { header, segments } = readPlaylist(text, name);
  const isHeader =
    header?.file === file && header.start === 0 && header.bytes === index.headerBytes;
  const right = segments.filter((segment, i) => {
    const known = index.segments[i];
    return (
      segment.file === file &&
      segment.start === known?.start &&
      segment.bytes === known?.bytes &&
      Math.abs(segment.seconds - (known?.seconds ?? Infinity)) < 1e-5
    );
  });
  const isWell =
    isHeader && right.length === segments.length && segments.length === index.segments.length;
  return checked(`segments that ${name} leads to`, index.segments.length, right.length, isWell);
}

export function manifestCheck(text: string, files: PackageFiles): Check {
  const { pictures, sounds, texts, seconds } = files;
  const { representations, seconds: said } = readManifest(text);
  const wanted = new Map<string, ReadIndex | undefined>([
    ...pictures,
    ...sounds,
    ...texts.map((file) => [file, undefined] as const),
  ]);
  const right = representations.filter(({ file, ...rest }) => {
    const isKnown = wanted.has(file);
    const index = wanted.get(file);
    wanted.delete(file);
    return isKnown && (index === undefined || isRepresented(rest, index));
  });
  const isWell =
    right.length === representations.length && wanted.size === 0 && Math.abs(said - seconds) < 1e-3;
  const all = pictures.size + sounds.size + texts.length;
  return checked(`files that ${MANIFEST_NAME} leads to`, all, right.length, isWell);
}

function isRepresented(
  { header, index, attributes }: Omit<ReadRepresentation, 'file'>,
  { headerBytes, indexBytes, track }: ReadIndex,
): boolean {
  const size = [attributes.get('width'), attributes.get('height')].map((side) => Number(side ?? 0));
  return (
    header?.[0] === 0 &&
    header[1] === headerBytes - 1 &&
    index?.[0] === headerBytes &&
    index[1] === headerBytes + indexBytes - 1 &&
    attributes.get('codecs') === track.codec &&
    size[0] === track.width &&
    size[1] === track.height
  );
}

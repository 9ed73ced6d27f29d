/** The steps that make films of a ladder a package for players on the web: a folder with an index and playlists. */
import type { PackagedFilm, Packaging, StepSpec, VideoEncoding } from '../domain/task.ts';
import type { Container } from './codings.ts';
import { TAKEN } from './film-chain.ts';
import { demand, keptOutput, MIB, outputsOf, quote, stallsAfter } from './recipe.ts';

export interface FilmsToPackage {
  /** Of the folder. */
  readonly name: string;
  readonly packaging: Packaging;
  readonly films: readonly PackagedFilm[];
  readonly pieceMs: number;
  readonly sourceBytes: number;
}

const DEMAND_ATTRIBUTES = ['tool:ffmpeg'];

/** What players on the web do not play, in one line. */
export function faultOfPackaging(
  packaging: Packaging,
  name: string,
  container: Container,
  video: VideoEncoding,
  audioEncoder: string,
): string | undefined {
  if (!packaging.hls && !packaging.dash) return 'packaging names neither hls nor dash';
  if (container !== 'mp4') return `a package is made of films in mp4, not ${container}`;
  if (!/264|265|hevc/.test(video.encoder)) {
    return `a package holds H.264 or HEVC, not what ${quote(video.encoder)} makes: use libx264 or libx265`;
  }
  if (!['aac', 'copy', 'none'].includes(audioEncoder)) {
    return `a package holds AAC, not what ${quote(audioEncoder)} makes: use aac`;
  }
  return TAKEN.test(name) || name === 'proof'
    ? `the package's name ${quote(name)} is one that the farm uses`
    : undefined;
}

export function packageSteps(made: FilmsToPackage): readonly StepSpec[] {
  const { name, packaging, films, pieceMs, sourceBytes } = made;
  const concats = films.map(({ lines }) => `concat-${lines}p`);
  const inputs = [
    outputsOf('split', 'plan.json'),
    ...films.map(({ film }, i) => outputsOf(concats[i]!, film)),
  ];
  const common = {
    parameters: undefined,
    limits: stallsAfter(600_000),
    // Films, and their fragments twice.
    demand: demand(1000, 512 * MIB, sourceBytes * 3 * films.length, DEMAND_ATTRIBUTES),
  };
  const folder = `${name}/*`;
  return [
    {
      ...common,
      name: 'package',
      dependsOn: ['split', ...concats],
      task: { kind: { $case: 'packageFilms', value: { name, films, packaging, pieceMs } } },
      inputs,
      outputs: [keptOutput(folder)],
    },
    {
      ...common,
      name: 'proof-package',
      dependsOn: ['split', ...concats, 'package'],
      task: { kind: { $case: 'provePackage', value: { name, films, packaging } } },
      inputs: [...inputs, outputsOf('package', folder)],
      outputs: [keptOutput(`${name}/proof.json`)],
    },
  ];
}

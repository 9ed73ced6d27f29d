/**
 * The recipe `folder`: many films, each encoded anew by steps of its own, and a table of what became of
 * them. A source that cannot be encoded is noted in the table and fails nothing.
 */
import { faultOfName, nameKey } from '../domain/names.ts';
import type { AudioEncoding, File, FilmBranch, StepSpec, VideoEncoding } from '../domain/task.ts';
import { containerOf } from './codings.ts';
import { chooseEncoder, type FilmAgent } from './encoder-choice.ts';
import { faultOfAimForMany } from './film-aim.ts';
import { branchSteps, type FilmChain, TAKEN, sharedSteps } from './film-chain.ts';
import {
  demand,
  invalid,
  keptOutput,
  MIB,
  outputsOf,
  quote,
  type RecipePlan,
  stallsAfter,
} from './recipe.ts';
import {
  encodeStep,
  faultOfAudio,
  faultOfPieceMs,
  faultOfVideo,
  standInStep,
  withAudioDefaults,
  withVideoDefaults,
} from './transcode.ts';

export interface FolderFilm {
  readonly source?: File | undefined;
  /** May be in folders; its extension chooses the container. */
  readonly film: string;
}

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface FolderRequest {
  readonly films: readonly FolderFilm[];
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly pieceMs: number;
  readonly mixedEncoders?: boolean | undefined;
  /** As in a `TranscodeRequest`. */
  readonly fallback?: boolean | undefined;
}

/**
 * Five steps each, six where it may fall back. So many fit into one fact of the journal if their names are as
 * names of files are; whether they do is measured before anything is uploaded.
 */
const MAX_FILMS = 3_000;

/** No film's room on a disk is rounded up to less. */
const LEAST_SCRATCH_BYTES = 256 * MIB;

/** Proofs lie apart from the films, under their names. */
const PROOFS = 'proofs';

const DEFAULT_PIECE_MS = 10_000;

/** A film of the table; those that are refused have no steps. */
interface Entry {
  readonly chain: FilmChain | undefined;
  readonly suffix: string;
  /** As the user named it, folders and all. */
  readonly source: File;
  readonly film: string;
}

/** `agents`: as for `transcodeSteps`. */
export function folderSteps(request: FolderRequest, agents: readonly FilmAgent[] = []): RecipePlan {
  const { films } = request;
  if (films.length === 0) return invalid('films is empty: name at least one');
  if (films.length > MAX_FILMS) {
    return invalid(`${films.length} films; the most is ${MAX_FILMS} a job: submit several jobs`);
  }
  const fault =
    faultOfAimForMany(request.video) ??
    faultOfPieceMs(request.pieceMs || DEFAULT_PIECE_MS) ??
    faultOfNames(films);
  if (fault !== undefined) return invalid(fault);
  const entries: Entry[] = [];
  const notes = new Set<string>();
  for (const [i, { source, film }] of films.entries()) {
    if (source === undefined) {
      return invalid(`film ${quote(film)} has no source: name an uploaded file`);
    }
    const made = chainOf(request, agents, source, film, `-${i}`);
    if (typeof made === 'string') return invalid(made);
    for (const note of made.notes) notes.add(note);
    const chain = source.sizeBytes === 0 ? undefined : made.chain;
    entries.push({ chain, suffix: `-${i}`, source, film });
  }
  const chains = entries.flatMap(({ chain }) => (chain === undefined ? [] : [chain]));
  const steps = chains.flatMap((chain) => [...sharedSteps(chain), ...branchSteps(chain)]);
  return {
    state: 'ok',
    steps: [...steps.map(withRoundScratch), resultsStep(entries)],
    notes: [...notes],
  };
}

/**
 * Units of one demand are placed together. Films are of as many sizes as there are films: their room is
 * rounded up to a power of two or the middle between two, or a pass would look for each of them alone.
 */
function withRoundScratch(step: StepSpec): StepSpec {
  if (step.demand === undefined) return step;
  const scratchBytes = roundUp(step.demand.scratchBytes);
  return { ...step, demand: { ...step.demand, scratchBytes } };
}

function roundUp(bytes: number): number {
  if (bytes <= LEAST_SCRATCH_BYTES) return LEAST_SCRATCH_BYTES;
  let round = LEAST_SCRATCH_BYTES;
  while (round < bytes) round *= 2;
  const middle = (round / 4) * 3;
  return middle < bytes ? round : middle;
}

/** Or what is wrong with it, in one line. */
function chainOf(
  request: FolderRequest,
  agents: readonly FilmAgent[],
  source: File,
  film: string,
  suffix: string,
): { readonly chain: FilmChain; readonly notes: readonly string[] } | string {
  const nameFault = faultOfName(source.name);
  if (nameFault !== undefined) return `the source's name ${quote(source.name)} ${nameFault}`;
  const container = containerOf(film);
  if (container === undefined)
    return `the film's name ${quote(film)} must end in .mp4, .mov, .mkv or .webm`;
  const choice = chooseEncoder(request, container, agents);
  if (choice.state === 'invalid') return choice.message;
  const video = withVideoDefaults(choice.video, container);
  const fallback = choice.fallback && withVideoDefaults(choice.fallback, container);
  const audio = withAudioDefaults(request.audio, container);
  const fault =
    (fallback && faultOfVideo(fallback, container)) ??
    faultOfVideo(video, container) ??
    faultOfAudio(audio, container);
  if (fault !== undefined) return fault;
  const branch: FilmBranch = {
    lines: 0,
    always: true,
    proof: proofOf(film),
    noteFaults: true,
  };
  const chunks = encodeStep(source, video, request.mixedEncoders === true, {
    ...branch,
    proof: '',
  });
  const pieceMs = request.pieceMs || DEFAULT_PIECE_MS;
  const standIn = fallback && standInStep(source, fallback, chunks);
  const chain = { source, film, audio, pieceMs, chunks, standIn, branch, suffix };
  return { chain, notes: choice.notes };
}

/** No two outputs may be one file on some disk, nor one a folder of another. */
function faultOfNames(films: readonly FolderFilm[]): string | undefined {
  const seen = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const { film } of films) {
    const fault = faultOfName(film) ?? (film.includes('*') ? 'has a *' : undefined);
    if (fault !== undefined) return `the film's name ${quote(film)} ${fault}`;
    if (TAKEN.test(film)) return `the film's name ${quote(film)} is one that the farm itself uses`;
    const other = seen.get(nameKey(film));
    if (other !== undefined)
      return `films ${quote(other)} and ${quote(film)} would be one file: rename one`;
    seen.set(nameKey(film), film);
    for (let at = film.indexOf('/'); at >= 0; at = film.indexOf('/', at + 1)) {
      folders.set(nameKey(film.slice(0, at)), film);
    }
  }
  for (const [key, film] of seen) {
    const inside = folders.get(key);
    if (inside !== undefined)
      return `film ${quote(film)} is a folder of ${quote(inside)}: rename one`;
  }
  return undefined;
}

function resultsStep(entries: readonly Entry[]): StepSpec {
  const made = entries.filter(({ chain }) => chain !== undefined);
  const films = entries.map(({ chain, suffix, source, film }) => ({
    source: source.name,
    sourceBytes: source.sizeBytes,
    film,
    suffix,
    refused: chain === undefined ? `${source.name} is empty` : '',
  }));
  return {
    name: 'results',
    dependsOn: made.map(({ suffix }) => `proof${suffix}`),
    parameters: undefined,
    limits: stallsAfter(600_000),
    task: { kind: { $case: 'tabulate', value: { films, proofs: PROOFS } } },
    inputs: made.flatMap(({ suffix, film }) => [
      outputsOf(`proof${suffix}`, proofOf(film)),
      outputsOf(`proof${suffix}`, 'fault-*'),
    ]),
    outputs: [keptOutput('results.json'), keptOutput('results.csv')],
    demand: demand(1000, 64 * MIB, 16 * MIB, []),
  };
}

const proofOf = (film: string): string => `${PROOFS}/${film}.proof.json`;

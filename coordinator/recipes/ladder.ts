/**
 * The recipe `ladder`: one film in several sizes and rates. It is split once, so that the chunks of all
 * rungs begin at the same frames; each rung is joined and proven as a film of its own. Which rungs are
 * beyond the source is for the units to see: nothing here looks at the film.
 */
import { faultOfName } from '../domain/names.ts';
import type {
  AudioEncoding,
  File,
  FilmBranch,
  PackagedFilm,
  Packaging,
  StepSpec,
  VideoEncoding,
} from '../domain/task.ts';
import { containerOf } from './codings.ts';
import { chooseEncoder, type EncoderWish, type FilmAgent } from './encoder-choice.ts';
import { faultOfAimForMany } from './film-aim.ts';
import { branchSteps, type FilmChain, TAKEN, sharedSteps } from './film-chain.ts';
import { faultOfPackaging, packageSteps } from './package-steps.ts';
import { givenSource, stemOf } from './named-files.ts';
import { invalid, isWhole, quote, type RecipePlan } from './recipe.ts';
import {
  encodeStep,
  faultOfAudio,
  faultOfPieceMs,
  faultOfVideo,
  standInStep,
  withAudioDefaults,
  withVideoDefaults,
} from './transcode.ts';

export interface LadderRung {
  /** Of a 16:9 frame. */
  readonly lines: number;
  /** Bits a second over some seconds; 0 for none. */
  readonly maxBitrateBps: number;
}

/** What a user asks for; absent, empty and zero fields take the defaults. */
export interface LadderRequest {
  readonly source?: File | undefined;
  readonly video?: VideoEncoding | undefined;
  readonly audio?: AudioEncoding | undefined;
  readonly name: string;
  readonly container: string;
  readonly pieceMs: number;
  readonly rungs: readonly LadderRung[];
  /** Absent for films alone. */
  readonly packaging?: Packaging | undefined;
  /** As in a `TranscodeRequest`. */
  readonly fallback?: boolean | undefined;
}

/** What players on the web are usually given. */
const USUAL_RUNGS: readonly LadderRung[] = [
  { lines: 1080, maxBitrateBps: 5_000_000 },
  { lines: 720, maxBitrateBps: 2_800_000 },
  { lines: 480, maxBitrateBps: 1_400_000 },
  { lines: 360, maxBitrateBps: 800_000 },
];

/** The length that players expect of a segment; a chunk is one. */
const DEFAULT_PIECE_MS = 6000;
const MAX_RUNGS = 12;
const MIN_LINES = 96;
const MAX_LINES = 4320;

/** `agents`: as for `transcodeSteps`. */
export function ladderSteps(request: LadderRequest, agents: readonly FilmAgent[] = []): RecipePlan {
  const given = givenSource(request.source);
  if (given.state === 'invalid') return given;
  const { source } = given;
  const { packaging } = request;
  const rungs = request.rungs.length === 0 ? USUAL_RUNGS : request.rungs;
  const container = containerOf(`film.${request.container || 'mp4'}`);
  if (container === undefined) {
    return invalid(`container ${quote(request.container)} is not known: use mp4, mkv, webm or mov`);
  }
  const name = request.name || stemOf(source.name);
  const audio = withAudioDefaults(request.audio, container);
  const pieceMs = request.pieceMs || DEFAULT_PIECE_MS;
  const choice = chooseEncoder(ladderWish(request, rungs), container, agents);
  if (choice.state === 'invalid') return choice;
  const { maxBitrateBps: _ceiling, ...video } = withVideoDefaults(choice.video, container);
  const fallback = choice.fallback && withVideoDefaults(choice.fallback, container);
  const fault =
    faultOfAimForMany(request.video) ??
    faultOfRungs(rungs) ??
    faultOfLadderName(name) ??
    (video.width > 0 || video.height > 0
      ? 'the size is each rung’s own: leave it out'
      : undefined) ??
    (fallback && faultOfVideo(fallback, container)) ??
    faultOfAudio(audio, container) ??
    faultOfPieceMs(pieceMs) ??
    (packaging && faultOfPackaging(packaging, name, container, video, audio.encoder));
  if (fault !== undefined) return invalid(fault);
  const lowest = Math.min(...rungs.map(({ lines }) => lines));
  const chains: FilmChain[] = [];
  const films: PackagedFilm[] = [];
  for (const { lines, maxBitrateBps } of rungs) {
    const own = { ...video, maxBitrateBps };
    const rungFault = faultOfVideo(own, container);
    if (rungFault !== undefined) return invalid(`rung ${lines}p: ${rungFault}`);
    const film = `${name}-${lines}p.${container}`;
    const proof = `${name}-${lines}p.proof.json`;
    const branch: FilmBranch = { lines, always: lines === lowest, proof, noteFaults: false };
    const chunks = encodeStep(source, own, false, branch);
    const suffixes = { suffix: `-${lines}p`, sharedSuffix: '' };
    films.push({ film, lines });
    const standIn = fallback && standInStep(source, fallback, chunks);
    chains.push({ source, film, audio, pieceMs, chunks, standIn, branch, ...suffixes });
  }
  const packages =
    packaging === undefined
      ? []
      : packageSteps({ name, packaging, films, pieceMs, sourceBytes: source.sizeBytes });
  const { notes } = choice;
  return { state: 'ok', steps: [...allSteps(chains), ...packages], notes };
}

/** One encoder for all rungs, which must do what each of them asks for. */
function ladderWish({ video, fallback }: LadderRequest, rungs: readonly LadderRung[]): EncoderWish {
  const maxBitrateBps = Math.max(...rungs.map((rung) => rung.maxBitrateBps));
  return { video: video && { ...video, maxBitrateBps }, fallback };
}

function allSteps(chains: readonly FilmChain[]): readonly StepSpec[] {
  return [...chains.slice(0, 1).flatMap(sharedSteps), ...chains.flatMap(branchSteps)];
}

function faultOfRungs(rungs: readonly LadderRung[]): string | undefined {
  if (rungs.length > MAX_RUNGS) return `${rungs.length} rungs; the most is ${MAX_RUNGS}`;
  const seen = new Set<number>();
  for (const { lines } of rungs) {
    if (!isWhole(lines, MIN_LINES, MAX_LINES) || lines % 2 !== 0) {
      return `rung ${lines}p must be even, from ${MIN_LINES} to ${MAX_LINES} lines`;
    }
    if (seen.has(lines)) return `two rungs have ${lines} lines: leave one out`;
    seen.add(lines);
  }
  return undefined;
}

function faultOfLadderName(name: string): string | undefined {
  const fault = faultOfName(name);
  if (fault !== undefined) return `the films' name ${quote(name)} ${fault}`;
  if (name.includes('/'))
    return `the films' name ${quote(name)} has a slash: give a name, not a path`;
  if (name.includes('*')) return `the films' name ${quote(name)} has a *`;
  return TAKEN.test(`${name}-720p.mp4`)
    ? `the films' name ${quote(name)} is one that the farm uses`
    : undefined;
}

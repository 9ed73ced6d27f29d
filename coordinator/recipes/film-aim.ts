/** What a film is to come out at: so many bits a second, or so like its source. Both are found out before. */
import type { Demand, File, StepSpec, VideoEncoding } from '../domain/task.ts';
import { EACH_PIECE, sourceBeside, type FilmAim } from './film-chain.ts';
import { demand, fileInput, isWhole, MIB, output, outputsOf, stallsAfter } from './recipe.ts';

const MIN_BITRATE_BPS = 20_000;
const MAX_BITRATE_BPS = 400_000_000;

/** `encoding`: what a unit that encodes a piece needs. Undefined where constant quality is all. */
export function filmAim(
  source: File,
  video: VideoEncoding,
  encoding: Demand,
  fallback?: Measuring,
): FilmAim | undefined {
  if ((video.bitrateBps ?? 0) > 0) return ratesAim({ video, demand: encoding }, fallback);
  return (video.targetSsim ?? 0) > 0 ? qualityAim(source, video, encoding) : undefined;
}

/** What measures pieces, and what a unit of it needs. */
interface Measuring {
  readonly video: VideoEncoding;
  readonly demand: Demand;
}

function measureStep(name: string, { video, demand }: Measuring): StepSpec {
  return {
    name,
    dependsOn: ['split'],
    parameters: EACH_PIECE,
    task: { kind: { $case: 'measure', value: { video } } },
    inputs: [{ kind: { $case: 'item', value: true } }, outputsOf('split', 'plan.json')],
    outputs: [output('measure-*')],
    demand,
    limits: stallsAfter(300_000),
  };
}

/** Pieces are measured on all agents at once; then each gets its share. */
function ratesAim(measuring: Measuring, fallback: Measuring | undefined): FilmAim {
  const { bitrateBps = 0 } = measuring.video;
  const measure = measureStep('measure', measuring);
  const standIns =
    fallback === undefined
      ? []
      : [{ ...measureStep('measure-software', fallback), insteadOf: measure.name }];
  return {
    steps: [
      measure,
      ...standIns,
      {
        name: 'rates',
        dependsOn: ['split', 'measure'],
        parameters: undefined,
        task: { kind: { $case: 'planRates', value: { bitrateBps } } },
        inputs: [outputsOf('split', 'plan.json'), outputsOf('measure', 'measure-*')],
        outputs: [output('rates.json')],
        demand: demand(100, 128 * MIB, 0, []),
        limits: stallsAfter(300_000),
      },
    ],
    result: { step: 'rates', file: 'rates.json' },
  };
}

function qualityAim(source: File, video: VideoEncoding, encoding: Demand): FilmAim {
  const beside = sourceBeside(source);
  const { targetSsim = 0 } = video;
  return {
    steps: [
      {
        name: 'quality',
        dependsOn: ['split'],
        parameters: undefined,
        task: { kind: { $case: 'findQuality', value: { source: beside.name, video, targetSsim } } },
        inputs: [fileInput(beside), outputsOf('split', 'plan.json')],
        outputs: [output('quality.json')],
        // Samples lie beside the source without loss.
        demand: { ...encoding, scratchBytes: source.sizeBytes + 2048 * MIB },
        limits: stallsAfter(600_000),
      },
    ],
    result: { step: 'quality', file: 'quality.json' },
  };
}

/** Over fewer frames, encoders miss what they are told by a fifth. */
const MIN_AIMED_PIECE_MS = 4000;

/** Pieces must be long enough for encoders to come out at a bitrate. */
export function faultOfAimedPieces(video: VideoEncoding, pieceMs: number): string | undefined {
  if ((video.bitrateBps ?? 0) === 0 || pieceMs >= MIN_AIMED_PIECE_MS) return undefined;
  return `piece length ${pieceMs} ms is too short for a bitrate: use ${MIN_AIMED_PIECE_MS} or more`;
}

/** In jobs of many films, where each would need steps of its own for it. */
export function faultOfAimForMany(video: VideoEncoding | undefined): string | undefined {
  const { bitrateBps = 0, targetSsim = 0 } = video ?? {};
  return bitrateBps === 0 && targetSsim === 0
    ? undefined
    : 'a bitrate or a target SSIM is for one film: give crf, or submit the films one by one';
}

/** `crf`: as asked for, 0 when it was not. */
export function faultOfAim(video: VideoEncoding | undefined): string | undefined {
  const { crf = 0, bitrateBps = 0, targetSsim = 0 } = video ?? {};
  const asked = [
    crf > 0 ? 'crf' : '',
    bitrateBps > 0 ? 'a bitrate' : '',
    targetSsim > 0 ? 'a target SSIM' : '',
  ].filter((name) => name !== '');
  if (asked.length > 1) return `${asked.join(' and ')} exclude one another: give one of them`;
  if (bitrateBps !== 0 && !isWhole(bitrateBps, MIN_BITRATE_BPS, MAX_BITRATE_BPS)) {
    return `video bitrate ${bitrateBps} is out of range: use ${MIN_BITRATE_BPS} to ${MAX_BITRATE_BPS} bits a second`;
  }
  if (targetSsim !== 0 && !(targetSsim >= 0.5 && targetSsim <= 0.9999)) {
    return `target SSIM ${targetSsim} is out of range: use 0.5 to 0.9999`;
  }
  return undefined;
}

/** Every runner there is, by the task it knows. */
import { checkModelRunner } from './check-model.ts';
import { commandRunner } from './command.ts';
import { audioRunner } from './film/audio.ts';
import { concatRunner } from './film/concat.ts';
import { encodeRunner } from './film/encode.ts';
import { interpolateRunner } from './film/interpolate.ts';
import { proveFilmRunner } from './film/prove-film.ts';
import { splitRunner } from './film/split.ts';
import { upscaleRunner } from './film/upscale.ts';
import { inferFramesRunner } from './infer/infer-frames.ts';
import { inferPicturesRunner } from './infer/infer-pictures.ts';
import { joinResultsRunner } from './infer/join-results.ts';
import { proveResultsRunner } from './infer/prove-results.ts';
import { upscaleImagesRunner } from './upscale/upscale-images.ts';
import { noopRunner } from './noop.ts';
import { filmFramesRunner } from './render/film-frames.ts';
import { proveRenderRunner } from './render/prove-render.ts';
import { renderFramesRunner } from './render/render-frames.ts';
import { scanSceneRunner } from './render/scan-scene.ts';
import type { Runner } from './runner.ts';

export type RunnerRegistry = ReadonlyMap<Runner['kind'], Runner>;

const RUNNERS: readonly Runner[] = [
  commandRunner,
  noopRunner,
  splitRunner,
  encodeRunner,
  audioRunner,
  concatRunner,
  proveFilmRunner,
  upscaleRunner,
  upscaleImagesRunner,
  checkModelRunner,
  interpolateRunner,
  inferPicturesRunner,
  inferFramesRunner,
  joinResultsRunner,
  proveResultsRunner,
  scanSceneRunner,
  renderFramesRunner,
  filmFramesRunner,
  proveRenderRunner,
];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);

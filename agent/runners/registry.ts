/** Every runner there is, by the task it knows. */
import { checkModelRunner } from './check-model.ts';
import { commandRunner } from './command.ts';
import { audioRunner } from './film/audio.ts';
import { concatRunner } from './film/concat.ts';
import { findQualityRunner } from './film/find-quality.ts';
import { measureRunner } from './film/measure.ts';
import { planRatesRunner } from './film/plan-rates.ts';
import { encodeRunner } from './film/encode.ts';
import { interpolateRunner } from './film/interpolate.ts';
import { proveFilmRunner } from './film/prove-film.ts';
import { splitRunner } from './film/split.ts';
import { detectMotionRunner } from './film/detect-motion.ts';
import { encodeProxyRunner } from './film/encode-proxy.ts';
import { extractSoundRunner } from './film/extract-sound.ts';
import { joinSoundsRunner } from './film/join-sounds.ts';
import { normaliseClipRunner } from './film/normalise-clip.ts';
import { proveSoundRunner } from './film/prove-sound.ts';
import { proveThumbnailsRunner } from './film/prove-thumbnails.ts';
import { smoothMotionRunner } from './film/smooth-motion.ts';
import { surveyClipsRunner } from './film/survey-clips.ts';
import { takeThumbnailsRunner } from './film/take-thumbnails.ts';
import { analyzeClipRunner } from './montage/analyze-clip.ts';
import { analyzeMusicRunner } from './montage/analyze-music.ts';
import { enlargeShotRunner } from './montage/enlarge-shot.ts';
import { joinMontageRunner } from './montage/join-montage.ts';
import { makeProxyRunner } from './montage/make-proxy.ts';
import { planCutsRunner } from './montage/plan-cuts.ts';
import { proveMontageRunner } from './montage/prove-montage.ts';
import { renderShotRunner } from './montage/render-shot.ts';
import { takePiecesRunner } from './montage/take-pieces.ts';
import { upscaleRunner } from './film/upscale.ts';
import { inferFramesRunner } from './infer/infer-frames.ts';
import { inferPicturesRunner } from './infer/infer-pictures.ts';
import { joinResultsRunner } from './infer/join-results.ts';
import { proveResultsRunner } from './infer/prove-results.ts';
import { upscaleImagesRunner } from './upscale/upscale-images.ts';
import { tabulateRunner } from './film/tabulate.ts';
import { noopRunner } from './noop.ts';
import { packageFilmsRunner } from './package/package-films.ts';
import { provePackageRunner } from './package/prove-package.ts';
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
  measureRunner,
  planRatesRunner,
  findQualityRunner,
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
  tabulateRunner,
  scanSceneRunner,
  renderFramesRunner,
  filmFramesRunner,
  proveRenderRunner,
  encodeProxyRunner,
  detectMotionRunner,
  smoothMotionRunner,
  takeThumbnailsRunner,
  proveThumbnailsRunner,
  extractSoundRunner,
  proveSoundRunner,
  surveyClipsRunner,
  normaliseClipRunner,
  joinSoundsRunner,
  analyzeClipRunner,
  analyzeMusicRunner,
  planCutsRunner,
  takePiecesRunner,
  renderShotRunner,
  enlargeShotRunner,
  makeProxyRunner,
  joinMontageRunner,
  proveMontageRunner,
  packageFilmsRunner,
  provePackageRunner,
];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);

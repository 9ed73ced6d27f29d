/** Every runner there is, by the task it knows. */
import { commandRunner } from './command.ts';
import { audioRunner } from './film/audio.ts';
import { concatRunner } from './film/concat.ts';
import { encodeRunner } from './film/encode.ts';
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
  scanSceneRunner,
  renderFramesRunner,
  filmFramesRunner,
  proveRenderRunner,
];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);

/** Every runner there is, by the task it knows. */
import { commandRunner } from './command.ts';
import { audioRunner } from './film/audio.ts';
import { concatRunner } from './film/concat.ts';
import { encodeRunner } from './film/encode.ts';
import { proveFilmRunner } from './film/prove-film.ts';
import { splitRunner } from './film/split.ts';
import { tabulateRunner } from './film/tabulate.ts';
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
  tabulateRunner,
  scanSceneRunner,
  renderFramesRunner,
  filmFramesRunner,
  proveRenderRunner,
];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);

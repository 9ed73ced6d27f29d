/** Every runner there is, by the task it knows. */
import { commandRunner } from './command.ts';
import { audioRunner } from './film/audio.ts';
import { concatRunner } from './film/concat.ts';
import { findQualityRunner } from './film/find-quality.ts';
import { measureRunner } from './film/measure.ts';
import { planRatesRunner } from './film/plan-rates.ts';
import { encodeRunner } from './film/encode.ts';
import { proveFilmRunner } from './film/prove-film.ts';
import { splitRunner } from './film/split.ts';
import { noopRunner } from './noop.ts';
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
];

export const runnerRegistry: RunnerRegistry = new Map(
  RUNNERS.map((runner) => [runner.kind, runner]),
);

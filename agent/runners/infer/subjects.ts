/** What results must name, one line each and in this order: the pictures of a list, or frames of a film. */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { readFileList } from '../../../kit/file-list.ts';
import { type FilmPlan, readPlan } from '../film/film-plan.ts';
import { secondsOf, unpackTimes } from '../film/timeline.ts';
import type { ResultLine } from './result-line.ts';

export interface Subject {
  /** For messages. */
  readonly name: string;
  isOf(line: ResultLine): boolean;
  /** Its line when there is no result of it. */
  failed(error: string): ResultLine;
}

export interface SubjectSource {
  /** Name of the list in the unit's directory; empty for a film, whose frames `plan.json` has. */
  readonly list: string;
  /** The first frame of each so many milliseconds; 0 for every frame. */
  readonly everyMs: number;
}

/** FurrowError: invalid LIST_INVALID. FilmFault where the plan is none. */
export async function* subjectsOf(
  directory: string,
  { list, everyMs }: SubjectSource,
): AsyncGenerator<Subject> {
  if (list === '') {
    yield* framesOf(await readPlan(directory), everyMs);
    return;
  }
  for await (const files of readFileList(createReadStream(join(directory, list)))) {
    for (const { name } of files) {
      yield {
        name,
        isOf: (line) => 'image' in line && line.image === name,
        failed: (error) => ({ image: name, error }),
      };
    }
  }
}

function* framesOf(plan: FilmPlan, everyMs: number): Generator<Subject> {
  for (const { frame, time } of chosenFrames(plan, everyMs)) {
    yield {
      name: `frame ${frame}`,
      isOf: (line) => 'frame' in line && line.frame === frame && line.time === time,
      failed: (error) => ({ frame, time, error }),
    };
  }
}

export interface ChosenFrame {
  /** From 0, of the whole film. */
  readonly frame: number;
  /** Ticks of the source. */
  readonly ticks: number;
  /** Seconds from the film's first frame, to the microsecond. */
  readonly time: number;
}

/** The first frame, and then the first one of each so many milliseconds. */
export function chosenFrames(plan: FilmPlan, everyMs: number): readonly ChosenFrame[] {
  const chosen: ChosenFrame[] = [];
  let before = -1;
  unpackTimes(plan.times).forEach((ticks, frame) => {
    const time = Math.round(secondsOf(ticks - plan.times.first, plan.timeBase) * 1e6) / 1e6;
    const stretch = everyMs === 0 ? frame : Math.floor((time * 1000) / everyMs);
    if (stretch > before) chosen.push({ frame, ticks, time });
    before = Math.max(before, stretch);
  });
  return chosen;
}

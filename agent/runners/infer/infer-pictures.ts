/** Looks at the unit's part of a list of pictures: a line for each, in the list's order, whatever becomes of it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { InferPicturesTask } from '../../../proto/gen/furrow/v1/task_infer.ts';
import { someAtOnce } from '../../some-at-once.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import type { Runner, UnitWork } from '../runner.ts';
import { knownLooking, type KnownLooking, look } from './look.ts';
import { feedPictures, type FedPictures, type Picture, PictureCrash } from './picture-feed.ts';
import { readPicture } from './read-picture.ts';
import { foundIn, type ResultLine, textOf } from './result-line.ts';
import { partNames, writeTime } from './unit-part.ts';

const READS_AT_ONCE = 16;

export const inferPicturesRunner: Runner = {
  ...filmRunner('inferPictures', inferPictures),
  usesModel: true,
};

async function inferPictures({
  work,
  task,
  context,
}: FilmAttempt<InferPicturesTask>): Promise<void> {
  const looking = knownLooking(task.looking);
  const startedAtMs = Date.now();
  const lines: ResultLine[] = Array.from({ length: work.files.length });
  const pictures = await picturesOf(work, lines);
  let left = pictures;
  while (left.length > 0) {
    const crash = await lookAt(work, context, looking, left, lines);
    if (crash === undefined) break;
    lines[crash.index] = { image: work.files[crash.index]!.name, error: crash.message };
    left = left.filter(({ index }) => index !== crash.index);
  }
  const { part, time } = partNames(work.unit);
  await writeFile(join(work.directory, part), lines.map(textOf).join(''));
  await writeTime(join(work.directory, time), lines.length, startedAtMs);
}

/** Those that are pictures; the others have their line. */
async function picturesOf(work: UnitWork, lines: ResultLine[]): Promise<readonly Picture[]> {
  const pictures: (Picture | undefined)[] = Array.from({ length: work.files.length });
  await someAtOnce([...work.files.entries()], READS_AT_ONCE, async ([index, { name }]) => {
    const read = await readPicture(join(work.directory, name));
    if ('error' in read) lines[index] = { image: name, error: read.error };
    else pictures[index] = { index, name, ...read };
  });
  return pictures.filter((picture) => picture !== undefined);
}

/** Answers the picture that ended everything, if one did: nothing is known of the others then. */
async function lookAt(
  work: UnitWork,
  context: FilmAttempt<InferPicturesTask>['context'],
  looking: KnownLooking,
  pictures: readonly Picture[],
  lines: ResultLine[],
): Promise<PictureCrash | undefined> {
  const { manifest } = looking.model;
  const { directory } = work;
  let fed: FedPictures = { fed: [], lost: new Map() };
  let found: Awaited<ReturnType<typeof look>>;
  try {
    found = await look(context, looking, pictures.length, async (signal) => {
      fed = await feedPictures({ context, directory, manifest, signal }, pictures);
    });
  } catch (error) {
    if (error instanceof PictureCrash) return error;
    throw error;
  }
  if (found.length !== fed.fed.length) {
    const message = `${fed.fed.length} pictures went into the model, and ${found.length} came out`;
    throw new FilmFault('failed', message);
  }
  fed.fed.forEach(({ index, width, height }, position) => {
    const image = work.files[index]!.name;
    const size = { width, height };
    lines[index] = { image, ...size, found: foundIn(manifest, size, found[position]!) };
  });
  for (const [index, error] of fed.lost) lines[index] = { image: work.files[index]!.name, error };
  return undefined;
}

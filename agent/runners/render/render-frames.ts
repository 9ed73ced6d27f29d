/** Renders the frames of one unit, and vouches for each: it is there, has its size, and decodes. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RenderFramesTask } from '../../../proto/gen/furrow/v1/task_render.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { NO_SETTINGS, runBlender } from './blender-run.ts';
import { decodeFrames, lookAtFrames } from './frame-files.ts';
import { readUnitFrames } from './scene-facts.ts';

export const renderFramesRunner = filmRunner('renderFrames', render);

async function render(attempt: FilmAttempt<RenderFramesTask>): Promise<void> {
  const { work, task, context, media } = attempt;
  const settings = { ...NO_SETTINGS, ...task.settings };
  const frames = await readUnitFrames(work.directory, work.item);
  const scene = await runBlender({ work, context, file: task.file, settings }, frames);
  const { width, height, hasBorder } = scene;
  const format = settings.format as 'png' | 'jpeg' | 'exr';
  const size = hasBorder ? undefined : { width, height };
  const seen = await lookAtFrames(media, { frames, format, size });
  await decodeFrames(media, work.directory, seen, () => undefined);
  for (const name of await readdir(work.directory)) {
    if (name.startsWith('picture-')) await rm(join(work.directory, name));
  }
}

/** Looks into a Blender file once, so that what is wrong with it is said before a frame is rendered. */
import type { ScanSceneTask } from '../../../proto/gen/furrow/v1/task_render.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { NO_SETTINGS, runBlender } from './blender-run.ts';
import { framesOf, rateOf, writeScene } from './scene-facts.ts';

export const scanSceneRunner = filmRunner('scanScene', scan);

async function scan({ work, task, context }: FilmAttempt<ScanSceneTask>): Promise<void> {
  const settings = { ...NO_SETTINGS, ...task.settings };
  // What is found without a GPU is found with one, too, and the scan has booked none.
  const looking = { ...settings, gpu: false };
  const scene = await runBlender({ work, context, file: task.file, settings: looking }, []);
  const frames = framesOf(task.frames, scene);
  const { name, engine, width, height, hasBorder } = scene;
  const facts = {
    version: 1 as const,
    name,
    engine,
    width,
    height,
    hasBorder,
    format: settings.format as 'png' | 'jpeg' | 'exr',
    frameRate: rateOf(scene.frameRate),
    frames: [...frames],
  };
  const units = await writeScene(work.directory, facts, task.framesPerUnit);
  const size = `${width}x${height}`;
  context.log(`scene ${name}: ${frames.length} frames of ${size} by ${engine} in ${units} units`);
  context.progress(1, 2, `${frames.length} frames`);
}

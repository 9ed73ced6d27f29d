/** One run of Blender for an attempt: its lines become progress, and its end a fault or none. */
import { join } from 'node:path';
import type { RenderSettings } from '../../../proto/gen/furrow/v1/task_render.ts';
import { FilmFault } from '../film/film-fault.ts';
import { bookedThreads } from '../film/media-process.ts';
import type { RunnerContext, UnitWork } from '../runner.ts';
import { blenderFault, openArgs, parseLine, renderArgs, settingsEnvironment } from './blender.ts';
import { parseScene, type PrintedScene } from './scene-facts.ts';
import { SCENE_MARK } from './scene-script.ts';

export interface BlenderWork {
  readonly work: UnitWork;
  readonly context: RunnerContext;
  /** Name of the file in the unit's directory. */
  readonly file: string;
  readonly settings: RenderSettings;
}

export const NO_SETTINGS: RenderSettings = {
  scene: '',
  engine: '',
  samples: 0,
  width: 0,
  height: 0,
  format: 'png',
  gpu: false,
};

/**
 * Opens the file, and renders `frames` if there are any. Answers what the file says of itself. Throws
 * FilmFault where the file cannot be rendered, or Blender failed.
 */
export async function runBlender(
  { work, context, file, settings }: BlenderWork,
  frames: readonly number[],
): Promise<PrintedScene> {
  const path = join(work.directory, file);
  const threads = bookedThreads(work);
  let [signs, saved, note] = [0, 0, ''];
  let fault: string | undefined;
  let scene: PrintedScene | undefined;
  const tell = (within: number): void => {
    signs += 1;
    const done = frames.length === 0 ? 0 : (saved + within) / frames.length;
    context.progress(Math.min(1, done), signs, note);
  };
  const onStdoutLine = (line: string): void => {
    if (line.startsWith(SCENE_MARK)) {
      scene = parseScene(line.slice(SCENE_MARK.length));
      return tell(0);
    }
    const said = parseLine(line);
    if (said.state === 'fault') fault = said.message;
    if (said.state === 'saved') saved += 1;
    if (said.state === 'sample') ({ note } = said);
    else context.log(line);
    tell(said.state === 'sample' ? said.fraction : 0);
  };
  const result = await context.run({
    program: 'blender',
    args:
      frames.length === 0
        ? openArgs(path, settings, threads)
        : renderArgs(path, settings, threads, { frames, output: work.directory }),
    cwd: work.directory,
    environment: settingsEnvironment(path, settings),
    onStdoutLine,
  });
  const failed = blenderFault(file, result, fault);
  if (failed !== undefined) throw new FilmFault(failed.kind, failed.message);
  if (scene === undefined) throw new FilmFault('failed', 'blender said nothing of the scene');
  return scene;
}

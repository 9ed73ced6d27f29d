/**
 * What kind of work a step's units do, as a text that is the same from job to job: sizes are learned by it.
 * The files of a job are not part of it, nor is what it is called.
 */
import type { StepSpec, Task } from './task.ts';

/** Programs that are what their first argument says. */
const INTERPRETER =
  /^(python|node|perl|ruby|bash|sh|zsh|java|Rscript|deno|bun|pwsh)[0-9.]*(\.exe)?$/;
const LONGEST = 120;

/** What a step is called but for its film: the films of a folder have steps of their own, which do the same. */
export function plainStepName(recipe: string, name: string): string {
  return recipe === 'folder' ? name.replace(/-\d+$/, '') : name;
}

/** Such as `transcode/encode libx264 medium 1280x720`, or `steps/render blender`. */
export function kindOfWork(recipe: string, { name, task }: StepSpec): string {
  const words = [`${recipe || 'steps'}/${plainStepName(recipe, name)}`, ...wordsOf(task)].filter(
    (word) => word !== '',
  );
  return words.join(' ').slice(0, LONGEST);
}

function wordsOf(task: Task | undefined): string[] {
  switch (task?.kind?.$case) {
    case 'command':
      return programOf(task.kind.value.argv);
    case 'encode': {
      const { video } = task.kind.value;
      if (video === undefined) return [];
      const size = video.width + video.height === 0 ? '' : `${video.width}x${video.height}`;
      return [video.encoder, video.preset, size];
    }
    case 'interpolate':
    case 'upscale': {
      const { use, video } = task.kind.value;
      return [use?.model?.name ?? '', use?.provider ?? '', video?.encoder ?? ''];
    }
    case 'upscaleImages':
    case 'checkModel': {
      const { use } = task.kind.value;
      return [use?.model?.name ?? '', use?.provider ?? ''];
    }
    case 'audio':
      return [task.kind.value.audio?.encoder ?? ''];
    case 'inferPictures':
    case 'inferFrames':
      return [task.kind.value.looking?.model?.name ?? ''];
    case undefined:
      return [];
    default:
      return [];
  }
}

function programOf(argv: readonly string[]): string[] {
  const [program = '', ...rest] = argv;
  const base = baseName(program);
  if (!INTERPRETER.test(base)) return [base];
  const script = rest.find((word) => !word.startsWith('-'));
  // A script in the argument itself (`sh -c '…'`) is a text of any length.
  return script === undefined || /[\s{]/.test(script) ? [base] : [base, baseName(script)];
}

function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}

/** Blender's arguments, and what its lines and its end mean. Pure. */
import type { RenderSettings } from '../../../proto/gen/furrow/v1/task_render.ts';
import type { ProcessResult, RunOutcome } from '../runner.ts';
import {
  FAULT_MARK,
  LOOK_SCRIPT,
  SCENE_SCRIPT,
  SCRIPT_FAILED,
  SETTINGS_VARIABLE,
} from './scene-script.ts';

const FORMATS: Readonly<Record<string, { readonly blender: string; readonly extension: string }>> =
  {
    png: { blender: 'PNG', extension: 'png' },
    jpeg: { blender: 'JPEG', extension: 'jpg' },
    exr: { blender: 'OPEN_EXR', extension: 'exr' },
  };

/** `frame-000012.png`. Undefined for a format that is none. */
export function frameName(frame: number, format: string): string | undefined {
  const extension = FORMATS[format]?.extension;
  return extension === undefined
    ? undefined
    : `frame-${String(frame).padStart(6, '0')}.${extension}`;
}

/** Looks at the file, opens it and runs the script: the settings hold for what comes after. */
export function openArgs(path: string, settings: RenderSettings, threads: number): string[] {
  return [
    ['-b', '--factory-startup', '-Y', '--python-exit-code', String(SCRIPT_FAILED)],
    ['-t', String(threads), '--python-expr', LOOK_SCRIPT, path],
    ...(settings.scene === '' ? [] : [['-S', settings.scene]]),
    ['--python-expr', SCENE_SCRIPT],
  ].flat();
}

/** `frames` ascending, not empty. Blender puts the number where the `#` are, and the extension after it. */
export function renderArgs(
  path: string,
  settings: RenderSettings,
  threads: number,
  { frames, output }: { readonly frames: readonly number[]; readonly output: string },
): string[] {
  return [
    openArgs(path, settings, threads),
    ['-o', `${output}/frame-######`, '-F', FORMATS[settings.format]?.blender ?? 'PNG', '-x', '1'],
    ['-f', frames.join(',')],
  ].flat();
}

/** `file`: its path, as in the arguments. */
export function settingsEnvironment(
  file: string,
  settings: RenderSettings,
): Record<string, string> {
  return { [SETTINGS_VARIABLE]: JSON.stringify({ ...settings, file }) };
}

export type BlenderLine =
  | { readonly state: 'fault'; readonly message: string }
  | { readonly state: 'saved' }
  /** `fraction` of the frame that is being rendered. */
  | { readonly state: 'sample'; readonly fraction: number; readonly note: string }
  | { readonly state: 'other' };

/** `Fra:12 Mem:…M (Peak …M) | Time:… | Remaining:… | … | Sample 3/8`, `Saved: '…'`. */
export function parseLine(line: string): BlenderLine {
  if (line.startsWith(FAULT_MARK)) {
    return { state: 'fault', message: line.slice(FAULT_MARK.length).trim() };
  }
  if (/^Saved: '.*'/.test(line)) return { state: 'saved' };
  const sample = /^Fra:-?\d+ .*\b(?:Sample|Rendering) (\d+)\s*\/\s*(\d+)/.exec(line);
  if (sample === null) return { state: 'other' };
  const [, done, all] = sample.map(Number);
  return {
    state: 'sample',
    fraction: all === 0 ? 0 : Math.min(1, done! / all!),
    note: `sample ${done} of ${all}`,
  };
}

const UNREADABLE =
  /^Error: (File format is not supported|Failed to read blend file|Cannot (read|open) file)/;

/** Why a run of Blender failed; undefined where it did not. `fault`: what the script refused, if it did. */
export function blenderFault(
  file: string,
  result: Pick<ProcessResult, 'exitCode' | 'signal' | 'stdoutTail' | 'stderrTail'>,
  fault: string | undefined,
): (RunOutcome & { readonly state: 'failed' }) | undefined {
  if (fault !== undefined) {
    return {
      state: 'failed',
      kind: 'invalid-input',
      message: `${file}: ${fault}${remedyOf(fault)}`,
    };
  }
  const lines = [...result.stdoutTail, ...result.stderrTail];
  if (result.exitCode !== 0 && lines.some((line) => UNREADABLE.test(line))) {
    return {
      state: 'failed',
      kind: 'invalid-input',
      message: `${file} is damaged, or no Blender file that this Blender can open`,
    };
  }
  if (result.exitCode === 0) return undefined;
  const how =
    result.signal === null ? `exited with ${result.exitCode}` : `was ended by ${result.signal}`;
  const word = lines.findLast((line) => /error|unable|fail/i.test(line))?.trim();
  return {
    state: 'failed',
    kind: 'failed',
    message: `blender ${how}${word === undefined ? '' : `: ${word}`}${displayHint(lines)}`,
  };
}

function remedyOf(fault: string): string {
  if (fault.startsWith('files that it names')) {
    return ' (give them with --asset, or pack them: File > External Data > Pack Resources)';
  }
  if (fault.startsWith('it names files by paths')) {
    return ' (File > External Data > Make All Paths Relative, and give them with --asset; or pack them)';
  }
  return '';
}

/** EEVEE draws with OpenGL, which a machine without a screen may not have. */
function displayHint(lines: readonly string[]): string {
  return lines.some((line) => /Unable to open a display|OpenGL|EGL/i.test(line))
    ? ' (eevee needs a display: render with --engine cycles)'
    : '';
}

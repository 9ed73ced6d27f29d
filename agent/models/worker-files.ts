/**
 * Where a worker lives: a folder of its own with the model and the two pipes, and what of this program and
 * of onnxruntime it must be able to read where it runs in a sandbox.
 */
import { execFile } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { copyFile, link, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { FurrowError, messageOf } from '../../kit/furrow-error.ts';
import { PIPE_IN, PIPE_OUT } from './model-work.ts';

export const MODEL_FILE = 'model.onnx';

/** Beside this file, with the same ending. */
export const WORKER_PROGRAM = fileURLToPath(
  new URL(`./worker/main${extname(import.meta.filename)}`, import.meta.url),
);

/** What the worker's program imports of others. */
const PACKAGES = ['onnxruntime-node', 'onnxruntime-common', '@bufbuild/protobuf'];

/** Makes the folder. FurrowError: failed-precondition TOOL_MISSING where this machine has no named pipes. */
export async function makeWorkerFolder(folder: string, modelPath: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await linkOrCopy(modelPath, join(folder, MODEL_FILE));
  const pipes = [PIPE_IN, PIPE_OUT].map((name) => join(folder, name));
  try {
    await promisify(execFile)('mkfifo', ['-m', '600', ...pipes]);
  } catch (error) {
    const message = `models cannot run on this machine: it has no named pipes (mkfifo: ${messageOf(error)})`;
    throw new FurrowError('failed-precondition', 'TOOL_MISSING', message);
  }
}

/** Shows the pipes in a unit's directory as well: other names of the same ones. */
export async function linkPipes(folder: string, directory: string): Promise<void> {
  await unlinkPipes(directory);
  for (const name of [PIPE_IN, PIPE_OUT]) await link(join(folder, name), join(directory, name));
}

export async function unlinkPipes(directory: string): Promise<void> {
  for (const name of [PIPE_IN, PIPE_OUT]) await rm(join(directory, name), { force: true });
}

/** Whoever waits for the other end of one of them sees it come and go. */
export function wakePipes(folder: string): void {
  for (const name of [PIPE_IN, PIPE_OUT]) {
    try {
      closeSync(openSync(join(folder, name), constants.O_RDWR | constants.O_NONBLOCK));
    } catch {
      // The folder is gone, and with it all that wait.
    }
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch {
    // Another file system, or one without links.
    await copyFile(from, to);
  }
}

/** Files and folders that the worker's program needs, where only named ones are shown to it. */
export function workerReads(program: string): readonly string[] {
  // …/agent/models/worker/main.js: everything of ours lies in the same tree.
  const root = join(dirname(program), '..', '..', '..');
  const require = createRequire(program);
  const packages = PACKAGES.flatMap((name) => folderOf(name, require));
  return [root, ...manifestAbove(root), ...packages];
}

/** Node reads there that our files are modules. */
function manifestAbove(root: string): readonly string[] {
  return [join(root, '..', 'package.json')];
}

function folderOf(name: string, require: NodeJS.Require): readonly string[] {
  try {
    const entry = require.resolve(name);
    const at = entry.lastIndexOf(join('node_modules', name));
    return at < 0 ? [] : [entry.slice(0, at + join('node_modules', name).length)];
  } catch {
    // Not installed, as the worker will say.
    return [];
  }
}

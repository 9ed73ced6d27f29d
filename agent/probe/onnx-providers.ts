/** ONNX execution providers that run a tiny model here, each tried in a process that may die. */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NO_TELEMETRY } from '../models/no-telemetry.ts';
import { askTool, type ToolEnvironment } from './run-tool.ts';
import { trialOf, type Trial } from './trial.ts';

/** CUDA loads a gigabyte of libraries the first time. */
const TRIAL_TIMEOUT_MS = 60_000;
/** Beside this file, with the same ending. */
const TRIAL = fileURLToPath(
  new URL(`./onnx-trial${extname(import.meta.filename)}`, import.meta.url),
);

/** By provider, such as cpu or cuda. Empty where there is no onnxruntime. */
export async function probeOnnx(
  environment: ToolEnvironment = {},
  signal?: AbortSignal,
  trialPath = TRIAL,
): Promise<ReadonlyMap<string, Trial>> {
  const trials = new Map<string, Trial>();
  if (!isInstalled()) return trials;
  for (const provider of candidates()) {
    const argv = [trialPath, provider];
    const quiet = { ...environment, ...NO_TELEMETRY };
    const answer = await askTool(process.execPath, argv, TRIAL_TIMEOUT_MS, quiet, signal);
    trials.set(provider, trialOf(answer));
  }
  return trials;
}

/** Those that this machine has anything for. */
function candidates(): readonly string[] {
  const found = ['cpu'];
  if (existsSync('/dev/nvidiactl') || existsSync('/dev/dxg')) found.push('cuda', 'tensorrt');
  if (hasRenderDevice()) found.push('webgpu');
  if (process.platform === 'darwin') found.push('coreml', 'webgpu');
  if (process.platform === 'win32') found.push('dml', 'webgpu');
  return found;
}

function hasRenderDevice(): boolean {
  try {
    return readdirSync('/dev/dri').some((name) => name.startsWith('renderD'));
  } catch {
    return false;
  }
}

function isInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node');
    return true;
  } catch {
    return false;
  }
}

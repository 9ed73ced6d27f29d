/** Which of onnxruntime's providers runs a unit's model: what its task says, or by what was booked. Pure. */
import { FurrowError } from '../../kit/furrow-error.ts';

/** The fastest first, as far as a GPU has them. */
const ON_GPUS = ['tensorrt', 'cuda', 'dml', 'webgpu'] as const;

/**
 * `proven`: attributes that the agent has shown, such as `onnx:cuda`. Never one that was not proven, and never
 * the processor where a GPU is meant. FurrowError: failed-precondition TOOL_MISSING.
 */
export function chooseProvider(
  wanted: string,
  gpuIds: readonly string[],
  proven: readonly string[],
): string {
  const works = (provider: string): boolean => proven.includes(`onnx:${provider}`);
  if (wanted !== '') {
    if (works(wanted)) return wanted;
    throw missing(`onnxruntime's provider ${wanted} does not work on this machine`);
  }
  if (gpuIds.length === 0) {
    if (works('cpu')) return 'cpu';
    throw missing(
      'onnxruntime does not work on this machine: install furrow with its optional packages',
    );
  }
  const provider = ON_GPUS.find(works);
  if (provider !== undefined) return provider;
  throw missing(
    `none of onnxruntime's providers for GPUs works on this machine (${ON_GPUS.join(', ')})`,
  );
}

function missing(message: string): FurrowError {
  return new FurrowError('failed-precondition', 'TOOL_MISSING', message);
}

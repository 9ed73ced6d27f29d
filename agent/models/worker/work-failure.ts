/** How a work ends without success, in a kind that the agent knows; and which errors mean too little memory. */
import type { WorkFault } from '../model-work.ts';

export class WorkFailure extends Error {
  override readonly name = 'WorkFailure';
  readonly kind: WorkFault;
  /** It is the consequence of how the other end of a pipe ended. */
  readonly echoOf: 'feed' | 'drain' | undefined;

  constructor(kind: WorkFault, message: string, echoOf?: 'feed' | 'drain') {
    super(message.replaceAll(/\s+/g, ' ').trim());
    this.kind = kind;
    this.echoOf = echoOf;
  }
}

/**
 * So often a process goes on with half as much at once after memory ran out. What a runtime had for the larger
 * pictures it keeps: then a new process has more room than this one.
 */
export const MOST_HALVINGS = 2;

const VRAM =
  /CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUDA (failure|error) 2\b|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|E_OUTOFMEMORY|8007000E|OutOfDeviceMemory|device.*out of memory/i;
const RAM =
  /failed to allocate memory|bad_alloc|bad allocation|array buffer allocation failed|invalid (typed )?array (buffer )?length|not enough memory|out of memory|cannot allocate memory/i;

/** Whether less at once may help; undefined when it would not. */
export function memoryFaultOf(
  error: unknown,
  provider: string,
): 'out-of-memory' | 'out-of-vram' | undefined {
  const text = error instanceof Error ? error.message : String(error);
  if (VRAM.test(text)) return 'out-of-vram';
  if (!RAM.test(text)) return undefined;
  // An arena says the same for both; on a GPU the large one is the GPU's.
  return provider !== 'cpu' && /BFCArena|allocate memory/i.test(text)
    ? 'out-of-vram'
    : 'out-of-memory';
}

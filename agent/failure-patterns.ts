/**
 * What programs print when something ran out or is missing, and the failure kind that it means. The owner's
 * patterns come before the built-in ones, and specific ones before general ones: the first that matches
 * any of the last lines decides. Pure.
 */
import { z } from 'zod';
import type { FailureKind } from './runners/runner.ts';

export interface FailurePattern {
  readonly kind: FailureKind;
  readonly pattern: RegExp;
  /** What it means, for people: "the GPU's memory ran out". Empty to let the program's words stand alone. */
  readonly message: string;
  /** The line means this only in a unit that has a GPU. */
  readonly needsGpu?: boolean;
}

export interface FailureMatch {
  readonly kind: FailureKind;
  readonly message: string;
  readonly line: string;
}

/** Kinds that a line of output can show; the others are the agent's to know. */
const SHOWN_KINDS = [
  'failed',
  'invalid-input',
  'out-of-memory',
  'out-of-vram',
  'bad-output',
  'infrastructure',
] as const;

/** One entry of `failurePatterns` in config.json. Letters match in either case. */
export const failurePatternSchema = z
  .strictObject({
    kind: z.enum(SHOWN_KINDS, `must be one of ${SHOWN_KINDS.join(', ')}`),
    pattern: z.string().min(1, 'must not be empty: it would match everything'),
    message: z.string().default(''),
  })
  .transform(({ kind, pattern, message }, context): FailurePattern => {
    try {
      return { kind, pattern: new RegExp(pattern, 'iu'), message };
    } catch (error) {
      const why = (error as Error).message;
      context.addIssue({ code: 'custom', path: ['pattern'], message: `${why}: mend it` });
      return z.NEVER;
    }
  });

const NO_SESSION = 'the GPU has no encoder session left, or no memory for one';
const VRAM = "the GPU's memory ran out";
const RAM = 'memory ran out';
const NO_GPU = "the machine's GPU or its driver cannot be used";
const NO_TOOL = 'a program or library is missing on this machine';

/** Messages of the programs themselves; where one says several things, the truest comes first. */
const BUILT_IN: readonly FailurePattern[] = [
  // Busy, not too small: another process holds the sessions. ffmpeg goes on to call it ENOMEM.
  infrastructure(NO_SESSION, /OpenEncodeSessionEx failed: (out of memory|incompatible client key)/),
  infrastructure(NO_SESSION, /OpenEncodeSessionEx.*: 10 \(NVENC indicates/i),
  vram(/failed creating CUDA context for NVENC: 0x2/i),
  infrastructure(NO_GPU, /no (NVENC )?capable devices found/i),

  vram(/CUDA out of memory|CUDA error: out of memory|torch\.(cuda\.)?OutOfMemoryError/i),
  vram(/CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED/),
  vram(/CUDA (failure|error) 2: out of memory/i),
  vram(/OOM when allocating tensor .*(device:GPU|by allocator GPU_)/i),
  vram(/out of memory in cu[A-Z]\w+\(|\bcuMemAlloc\w*\b.*out of memory/i),
  vram(/system is out of GPU( and shared host)? memory/i),
  vram(/OPTIX_ERROR_(HOST|DEVICE)_OUT_OF_MEMORY|cuda_malloc\(\): out of memory/),
  vram(/VK_ERROR_OUT_OF_DEVICE_MEMORY|ErrorOutOfDeviceMemory|vkAllocateMemory failed/),
  { ...vram(/BFCArena::.*failed to allocate memory for requested buffer/i), needsGpu: true },
  vram(/HIP out of memory|hipErrorOutOfMemory/i),

  infrastructure(NO_GPU, /driver\/library version mismatch|system has unsupported display driver/i),
  infrastructure(NO_GPU, /CUDA driver version is insufficient|no CUDA-capable device/i),
  infrastructure(NO_GPU, /driver does not support the required nvenc API version/i),
  infrastructure(NO_GPU, /cannot load (libcuda|libnvidia-encode|libnvcuvid)\.so/i),
  infrastructure(NO_GPU, /couldn't communicate with the NVIDIA driver|GPU is lost/i),
  infrastructure(
    NO_GPU,
    /CUDA error: (an illegal instruction|uncorrectable ECC|device-side hang)/i,
  ),
  infrastructure(NO_GPU, /CUDA_ERROR_(NO_DEVICE|SYSTEM_DRIVER_MISMATCH|ECC_UNCORRECTABLE)/),

  infrastructure("the agent's disk is full", /no space left on device|\bENOSPC\b/i),
  infrastructure("the agent's disk is full", /disk quota exceeded|\bEDQUOT\b/i),
  infrastructure('the machine has too little shared memory', /insufficient shared memory \(shm\)/i),
  infrastructure("the machine's disk cannot be written", /read-only file system|\bEROFS\b/i),

  ram(/cannot allocate memory|memory exhausted|\bENOMEM\b/i),
  ram(/MemoryError(:|$)|std::bad_alloc|java\.lang\.OutOfMemoryError/),
  ram(/JavaScript heap out of memory|memory allocation of \d+ bytes failed/),
  ram(/fatal error: runtime: (out of memory|cannot allocate memory)/),
  ram(/failed to allocate memory for requested buffer/i),
  ram(/OOM when allocating tensor .*(device:CPU|by allocator (cpu|mklcpu))/i),
  ram(/malloc of size|^Out of memory[.!]?$|malloc: memory exhausted/i),

  infrastructure(NO_TOOL, /error while loading shared libraries/),
];

/** The shell's own words when its exit code is 127. */
const NOT_FOUND = /: (command )?not found$|: No such file or directory$/;

/**
 * What the last lines of a failed program's output show; null when nothing is known of them. `own` are the
 * owner's patterns; `exitCode` is null where a signal ended it.
 */
export function matchFailure(
  lines: readonly string[],
  unit: { readonly hasGpu: boolean; readonly exitCode: number | null },
  own: readonly FailurePattern[],
): FailureMatch | null {
  for (const { kind, pattern, message, needsGpu } of [...own, ...BUILT_IN]) {
    if (needsGpu === true && !unit.hasGpu) continue;
    const line = lines.findLast((candidate) => pattern.test(candidate));
    if (line !== undefined) return { kind, message, line };
  }
  const missing =
    unit.exitCode === 127 ? lines.findLast((line) => NOT_FOUND.test(line)) : undefined;
  return missing === undefined ? null : { kind: 'infrastructure', message: NO_TOOL, line: missing };
}

/** Not busy, and not too small: it does not work. */
export function isGpuUnusable({ message }: FailureMatch): boolean {
  return message === NO_GPU;
}

function infrastructure(message: string, pattern: RegExp): FailurePattern {
  return { kind: 'infrastructure', pattern, message };
}

function vram(pattern: RegExp): FailurePattern {
  return { kind: 'out-of-vram', pattern, message: VRAM };
}

function ram(pattern: RegExp): FailurePattern {
  return { kind: 'out-of-memory', pattern, message: RAM };
}

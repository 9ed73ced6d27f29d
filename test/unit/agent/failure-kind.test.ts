/** What programs really print when something runs out, as they print it, and what it is taken for. */
import { describe, expect, test } from 'vitest';
import { judgeFailure, type FailedRun } from '../../../agent/failure-kind.ts';
import { failurePatternSchema } from '../../../agent/failure-patterns.ts';

interface Case {
  readonly program: string;
  readonly kind: string;
  readonly stderr: readonly string[];
  readonly stdout?: readonly string[];
  readonly exitCode?: number;
  readonly hasGpu?: boolean;
}

const judge = (
  { stderr, stdout = [], exitCode = 1, hasGpu = false }: Omit<Case, 'program' | 'kind'>,
  end: Partial<FailedRun> = {},
  own: Parameters<typeof judgeFailure>[3] = [],
) => {
  const run = { exitCode, signal: null, stdoutTail: stdout, stderrTail: stderr, ...end };
  const message = `x exited with ${exitCode}: ${stderr.at(-1) ?? ''}`;
  return judgeFailure(
    { state: 'failed', kind: 'failed', message },
    run,
    { hasGpu, hasStandIn: false },
    own,
  );
};

const GPU_CASES: readonly Case[] = [
  {
    program: 'PyTorch 2',
    kind: 'out-of-vram',
    stderr: [
      'Traceback (most recent call last):',
      'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 23.64 GiB of which 8.06 MiB is free. Including non-PyTorch memory, this process has 23.62 GiB memory in use.',
    ],
  },
  {
    program: 'PyTorch 1',
    kind: 'out-of-vram',
    stderr: [
      'RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 7.79 GiB total capacity; 5.71 GiB already allocated; 0 bytes free; 5.77 GiB reserved in total by PyTorch)',
    ],
  },
  {
    program: 'TensorFlow on a GPU',
    kind: 'out-of-vram',
    stderr: [
      'ResourceExhaustedError (see above for traceback): OOM when allocating tensor with shape[128,3,8,128,8,128] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc',
      'Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom to RunOptions for current allocation info.',
    ],
  },
  {
    program: 'TensorFlow on the processor',
    kind: 'out-of-memory',
    stderr: [
      '2020-11-28 09:40:14.792808: W tensorflow/core/framework/op_kernel.cc:1763] OP_REQUIRES failed at image_resizer_state.h:142 : Resource exhausted: OOM when allocating tensor with shape[1,416,416,3] and type float on /job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu',
    ],
  },
  {
    program: 'ONNX Runtime on a GPU',
    kind: 'out-of-vram',
    hasGpu: true,
    stderr: [
      "onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException: [ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Mul node. Name:'Mul_8702' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*, bool, onnxruntime::WaitNotificationFn) Failed to allocate memory for requested buffer of size 2830172160",
    ],
  },
  {
    program: 'ONNX Runtime on the processor',
    kind: 'out-of-memory',
    stderr: [
      "Non-zero status code returned while running Conv node. Name:'347_nchwc' Status Message: bfc_arena.cc:330 onnxruntime::BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 285081600",
    ],
  },
  {
    program: 'Blender with CUDA',
    kind: 'out-of-vram',
    stderr: [],
    stdout: [
      'Out of memory in cuStreamCreate(&cuda_stream_, CU_STREAM_NON_BLOCKING) (intern/cycles/device/cuda/queue.cpp:21)',
      'Refer to the Cycles GPU rendering documentation for possible solutions:',
      'https://docs.blender.org/manual/en/latest/render/cycles/gpu_rendering.html',
    ],
  },
  {
    program: 'Blender with OptiX',
    kind: 'out-of-vram',
    stderr: ['System is out of GPU and shared host memory', 'Error: Rendering failed'],
  },
  {
    program: 'OptiX',
    kind: 'out-of-vram',
    stderr: ['OPTIX_ERROR_DEVICE_OUT_OF_MEMORY in optixAccelBuild (intern/cycles/device/optix)'],
  },
  {
    program: 'ffmpeg with the sessions of NVENC taken',
    kind: 'infrastructure',
    hasGpu: true,
    stderr: [
      '[h264_nvenc @ 0x46d8300] OpenEncodeSessionEx failed: out of memory (10): (no details)',
      'Error initializing output stream 0:0 -- Error while opening encoder for output stream #0:0',
      'Unable to open output : Cannot allocate memory',
    ],
  },
  {
    program: 'ffmpeg without memory for the context of NVENC',
    kind: 'out-of-vram',
    hasGpu: true,
    stderr: [
      '[h264_nvenc @ 0x7f616007d540] Failed creating CUDA context for NVENC: 0x2',
      '[h264_nvenc @ 0x7f616007d540] No NVENC capable devices found',
    ],
  },
  {
    program: 'ffmpeg without a GPU for the encoder',
    kind: 'infrastructure',
    stderr: ['[av1_nvenc @ 0x21627f791c0] No capable devices found'],
  },
  {
    program: 'ffmpeg without a driver',
    kind: 'infrastructure',
    stderr: ['[h264_nvenc @ 0x55d] Cannot load libcuda.so.1', 'Conversion failed!'],
  },
  {
    program: 'ffmpeg with an old driver',
    kind: 'infrastructure',
    stderr: [
      '[hevc_nvenc @ 0x1] Driver does not support the required nvenc API version. Required: 12.1 Found: 12.0',
    ],
  },
  {
    program: 'a driver that was updated under us',
    kind: 'infrastructure',
    stderr: ['Failed to initialize NVML: Driver/library version mismatch'],
  },
];

const MACHINE_CASES: readonly Case[] = [
  {
    program: 'Python',
    kind: 'out-of-memory',
    stderr: ['  File "<string>", line 1', 'MemoryError'],
  },
  {
    program: 'NumPy',
    kind: 'out-of-memory',
    stderr: [
      'numpy.core._exceptions._ArrayMemoryError: Unable to allocate 184. MiB for an array with shape (64, 26, 26, 3, 371) and data type float32',
    ],
  },
  {
    program: 'a mapping that fails',
    kind: 'out-of-memory',
    stderr: ['OSError: [Errno 12] Cannot allocate memory'],
  },
  { program: 'tail', kind: 'out-of-memory', stderr: ['tail: memory exhausted'] },
  { program: 'Perl', kind: 'out-of-memory', stderr: ['Out of memory!'] },
  {
    program: 'C++',
    kind: 'out-of-memory',
    stderr: [
      "terminate called after throwing an instance of 'std::bad_alloc'",
      '  what():  std::bad_alloc',
    ],
    exitCode: 134,
  },
  {
    program: 'Node',
    kind: 'out-of-memory',
    exitCode: 134,
    stderr: [
      'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
      '----- Native stack trace -----',
      ' 1: 0xb78db3 node::OOMErrorHandler(char const*, v8::OOMDetails const&) [node]',
    ],
  },
  {
    program: 'ffmpeg on a full disk',
    kind: 'infrastructure',
    stderr: ['av_interleaved_write_frame(): No space left on device', 'Conversion failed!'],
  },
  {
    program: 'cp over a quota',
    kind: 'infrastructure',
    stderr: ["cp: error writing 'b': Disk quota exceeded"],
  },
  {
    program: 'a missing library',
    kind: 'infrastructure',
    exitCode: 127,
    stderr: [
      'x: error while loading shared libraries: libx264.so.164: cannot open shared object file: No such file or directory',
    ],
  },
  {
    program: 'dash',
    kind: 'infrastructure',
    exitCode: 127,
    stderr: ['sh: 1: nosuchtool: not found'],
  },
  {
    program: 'bash',
    kind: 'infrastructure',
    exitCode: 127,
    stderr: ['bash: nosuchtool: command not found'],
  },
  {
    program: 'a program with a code of its own',
    kind: 'failed',
    exitCode: 127,
    stderr: ['no such shot'],
  },
  {
    program: 'a file that is not there',
    kind: 'failed',
    stderr: ['cat: x: No such file or directory'],
  },
  { program: 'a program that says nothing', kind: 'failed', stderr: [] },
];

test.each([...GPU_CASES, ...MACHINE_CASES])('$program: $kind', ({ kind, ...output }) => {
  expect(judge(output)).toMatchObject({ state: 'failed', kind });
});

test('the message says what it means and quotes the line, once', () => {
  const { message } = judge({ stderr: ['write: No space left on device'] });
  expect(message).toBe("the agent's disk is full: x exited with 1: write: No space left on device");
  expect(judge({ stderr: ['MemoryError', 'bye'] }).message).toBe(
    'memory ran out: x exited with 1: bye (it printed: MemoryError)',
  );
});

test('what the runner knows for certain stands', () => {
  const outcome = { state: 'failed', kind: 'invalid-input', message: 'no film' } as const;
  const run = { exitCode: 1, signal: null, stdoutTail: [], stderrTail: ['MemoryError'] };
  expect(judgeFailure(outcome, run, { hasGpu: false, hasStandIn: false }, [])).toBe(outcome);
});

describe('signals', () => {
  const silent = { stderr: [] };
  test.each([
    ['SIGILL', null, 'infrastructure', /^this machine's processor lacks an instruction/],
    [null, 132, 'infrastructure', /^this machine's processor lacks an instruction/],
    ['SIGKILL', null, 'failed', /killed by signal 9, not by the agent/],
    [null, 137, 'failed', /killed by signal 9, not by the agent/],
    ['SIGSEGV', null, 'failed', /it crashed/],
    [null, 139, 'failed', /it crashed/],
    ['SIGTERM', null, 'failed', /^x exited/],
  ])('%s or code %s: %s', (signal, exitCode, kind, message) => {
    expect(judge(silent, { signal, exitCode })).toMatchObject({
      kind,
      message: expect.stringMatching(message) as string,
    });
  });
});

describe('the owner’s patterns', () => {
  const pattern = (fields: object) => failurePatternSchema.parse(fields);

  test('come before the built-in ones, and match in either case', () => {
    const licence = pattern({
      kind: 'infrastructure',
      pattern: '^no licence',
      message: 'no licence',
    });
    expect(judge({ stderr: ['No licence for x'] }, {}, [licence])).toMatchObject({
      kind: 'infrastructure',
      message: 'no licence: x exited with 1: No licence for x',
    });
    const harmless = pattern({ kind: 'failed', pattern: 'cannot allocate memory' });
    expect(judge({ stderr: ['Cannot allocate memory'] }, {}, [harmless]).kind).toBe('failed');
  });
});

test('a card that does not work is the unit’s failure where another step can do without; a busy one is not', () => {
  const unit = { hasGpu: false, hasStandIn: true };
  const kindOf = (line: string): string => {
    const run: FailedRun = { exitCode: 1, signal: null, stdoutTail: [], stderrTail: [line] };
    const outcome = { state: 'failed', kind: 'failed', message: 'encoding' } as const;
    return judgeFailure(outcome, run, unit, []).kind;
  };
  expect(kindOf('[h264_nvenc @ 0x1] No capable devices found')).toBe('failed');
  expect(kindOf('[h264_nvenc @ 0x1] Cannot load libnvidia-encode.so.1')).toBe('failed');
  expect(kindOf('[h264_nvenc @ 0x1] OpenEncodeSessionEx failed: out of memory (10)')).toBe(
    'infrastructure',
  );
  expect(kindOf('No space left on device')).toBe('infrastructure');
});

/**
 * The one model of this process: its file proven by hash, loaded with one provider (never another in its
 * place), and held against what its manifest says of it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { ChannelOrder, type ModelManifest } from '../../../proto/gen/furrow/v1/model.ts';
import type { LoadCommand, TensorFacts } from '../model-work.ts';
import { loadFault } from './load-fault.ts';
import { memoryFaultOf, WorkFailure } from './work-failure.ts';

type Runtime = typeof import('onnxruntime-node');

export interface LoadedModel {
  readonly manifest: ModelManifest;
  readonly provider: string;
  /** In the manifest's order. */
  readonly inputs: readonly TensorFacts[];
  readonly outputs: readonly TensorFacts[];
  /** Channels of its pictures: 1 for brightness alone, else 3. */
  readonly channels: 1 | 3;
  /** A tensor of floats with this shape; `data` is not copied. */
  tensor(data: Float32Array, shape: readonly number[]): Tensor;
  /**
   * Runs the model on tensors by name; answers its outputs by name. Throws what onnxruntime throws;
   * WorkFailure `bad-output` when an output is not of floats.
   */
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, ModelOutput>>>;
}

export interface ModelOutput {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Fatal alone: exceptions say the rest, and old exports warn of everything. */
const LOG_LEVEL = 4;
const HASH_CHUNK_BYTES = 1024 * 1024;

/** WorkFailure says in one line what is wrong with it. */
export async function loadModel(command: LoadCommand): Promise<LoadedModel> {
  const { file, sha256, manifest, provider, threads } = command;
  const runtime = loadRuntime();
  const found = sha256Of(file);
  if (found !== sha256) {
    const message = `the model's file has the hash ${found}, not ${sha256}: it is not the model that was registered`;
    throw new WorkFailure('invalid-input', message);
  }
  const session = await createSession(runtime, file, provider, threads);
  const inputs = ordered('input', session.inputMetadata.map(factsOf), manifest.inputs);
  const outputs = ordered('output', session.outputMetadata.map(factsOf), manifest.outputs);
  return {
    manifest,
    provider,
    inputs,
    outputs,
    channels: manifest.channels === ChannelOrder.CHANNEL_ORDER_LUMA ? 1 : 3,
    tensor: (data, shape) => new runtime.Tensor('float32', data, shape),
    run: async (feeds) => {
      const made = await session.run(feeds);
      return Object.fromEntries(
        outputs.map(({ name }) => {
          const { data, dims } = made[name]!;
          if (data instanceof Float32Array) return [name, { data, dims }] as const;
          throw new WorkFailure(
            'invalid-input',
            `the model's output ${name} is not of 32-bit floats`,
          );
        }),
      );
    },
  };
}

function loadRuntime(): Runtime {
  try {
    return createRequire(import.meta.url)('onnxruntime-node') as Runtime;
  } catch (error) {
    const why = (error as Error).message.split('\n')[0] ?? '';
    const message = `onnxruntime-node cannot be loaded on this machine: install furrow with its optional packages (${why})`;
    throw new WorkFailure('infrastructure', message);
  }
}

async function createSession(
  runtime: Runtime,
  file: string,
  provider: string,
  threads: number,
): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(file, {
      // Alone: where it does not work, an error is wanted and not a slow farm.
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: LOG_LEVEL,
    });
  } catch (error) {
    const said = (error as Error).message;
    const fault = memoryFaultOf(error, provider);
    if (fault !== undefined) throw new WorkFailure(fault, `loading the model: ${said}`);
    if (isProvidersFault(said)) {
      const remedy = `install its libraries on this machine, or choose another provider`;
      throw new WorkFailure('infrastructure', `${provider} does not work here: ${said}; ${remedy}`);
    }
    throw new WorkFailure('invalid-input', `the model cannot be loaded: ${loadFault(said)}`);
  }
}

function isProvidersFault(said: string): boolean {
  return /shared library|execution provider|backend not found|provider.*not (available|enabled|supported)|CUDA failure|cuDNN/i.test(
    said,
  );
}

function sha256Of(file: string): string {
  const hash = createHash('sha256');
  const chunk = Buffer.alloc(HASH_CHUNK_BYTES);
  const opened = openSync(file, 'r');
  try {
    for (;;) {
      const count = readSync(opened, chunk, 0, chunk.length, null);
      if (count === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, count));
    }
  } finally {
    closeSync(opened);
  }
}

type Metadata = InferenceSession.ValueMetadata;

function factsOf(metadata: Metadata): TensorFacts {
  return metadata.isTensor
    ? { name: metadata.name, type: metadata.type, shape: metadata.shape }
    : { name: metadata.name, type: 'no tensor', shape: [] };
}

/** As the manifest names them; as the model has them when it names none. */
function ordered(
  what: 'input' | 'output',
  found: readonly TensorFacts[],
  names: readonly string[],
): readonly TensorFacts[] {
  if (names.length === 0) return found;
  return names.map((name) => {
    const facts = found.find((candidate) => candidate.name === name);
    if (facts !== undefined) return facts;
    const has = found.map((candidate) => candidate.name).join(', ');
    const message = `the manifest names an ${what} ${name}; the model has ${has}: mend the manifest`;
    throw new WorkFailure('invalid-input', message);
  });
}

/** One tensor of floats [1, channels, height, width], as pictures go. WorkFailure when it is another. */
export function refuseOther(what: string, facts: TensorFacts | undefined, channels: number): void {
  const [count, depth, , last] = facts?.shape ?? [];
  const isLast = typeof depth === 'string' && last === channels;
  const fits =
    facts !== undefined &&
    facts.type === 'float32' &&
    facts.shape.length === 4 &&
    (typeof count === 'string' || count === 1) &&
    (typeof depth === 'string' || depth === channels) &&
    !isLast;
  if (fits) return;
  const shape = facts === undefined ? 'missing' : `${facts.type} [${facts.shape.join(', ')}]`;
  const wanted = `float32 [1, ${channels}, height, width]`;
  const message = `the model's ${what} is ${shape}, and its manifest asks for ${wanted}: ${remedyOf(facts, isLast)}`;
  throw new WorkFailure('invalid-input', message);
}

function remedyOf(facts: TensorFacts | undefined, isLast: boolean): string {
  if (facts !== undefined && facts.type !== 'float32') {
    return 'export it with inputs and outputs of 32-bit floats (what it reckons in may be others)';
  }
  if (isLast) return 'export it with channels first';
  return 'mend the manifest, or export the model anew';
}

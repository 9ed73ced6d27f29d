/**
 * A process of its own: runs a tiny model with the provider that its argument names, and exits with 0 when
 * the result is right. What a provider allocates goes with the process, and so does the agent's risk.
 */
import ort from 'onnxruntime-node';

/**
 * A convolution, because that is what needs all of a provider (cuDNN, too): x, float 1×1×3×3, with a
 * 2×2 kernel of ones to y, 1×1×2×2. ONNX IR 8, opset 17.
 */
const MODEL =
  'CAg6cwoPCgF4CgF3EgF5IgRDb252EgV0cmlhbCofCAEIAQgCCAIQAUIBd0oQAACAPwAAgD8AAIA/AACAP1obCgF4EhYK' +
  'FAgBEhAKAggBCgIIAQoCCAMKAggDYhsKAXkSFgoUCAESEAoCCAEKAggBCgIIAgoCCAJCAhAR';
const SUMS = [12, 16, 24, 28];
/** Fatal alone: the exception says the rest in one line. */
const LOG_LEVEL = 4;

const [provider = 'cpu'] = process.argv.slice(2);
try {
  const session = await ort.InferenceSession.create(Buffer.from(MODEL, 'base64'), {
    executionProviders: [provider],
    logSeverityLevel: LOG_LEVEL,
    intraOpNumThreads: 1,
  });
  const x = new ort.Tensor('float32', Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]), [1, 1, 3, 3]);
  const { y } = await session.run({ x });
  const sums = Array.from((y?.data ?? []) as Float32Array);
  if (sums.length !== SUMS.length || sums.some((sum, i) => Math.abs(sum - SUMS[i]!) > 0.05)) {
    throw new Error(`it computes ${sums.join(', ')} where ${SUMS.join(', ')} is right`);
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

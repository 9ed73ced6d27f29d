/**
 * What a model takes without a farm: `node bare-onnx.js MODEL WIDTH HEIGHT FRAMES` runs it on as many pictures, one
 * after the other, in one thread, and prints how long the first one took since the start of the process, and
 * the others together, in milliseconds.
 */
import ort from 'onnxruntime-node';

const [model = '', ...figures] = process.argv.slice(2);
const [width = 0, height = 0, frames = 0] = figures.map(Number);
const session = await ort.InferenceSession.create(model, {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 4,
});
const [input = ''] = session.inputNames;
const data = new Float32Array(3 * width * height);
let firstMs = 0;
let startMs = 0;
for (let frame = 0; frame <= frames; frame += 1) {
  for (let i = 0; i < data.length; i += 1) data[i] = ((i * 7 + frame * 13) % 256) / 255;
  await session.run({ [input]: new ort.Tensor('float32', data, [1, 3, height, width]) });
  if (frame > 0) continue;
  firstMs = performance.now();
  startMs = performance.now();
}
process.stdout.write(JSON.stringify({ firstMs, restMs: performance.now() - startMs }));

import { expect, test } from 'vitest';
import { chooseProvider } from '../../../../agent/models/provider-choice.ts';

test('what was booked decides, and never the processor in place of a GPU', () => {
  const proven = ['onnx:cpu', 'onnx:cuda', 'onnx:tensorrt'];
  expect(chooseProvider('', [], proven)).toBe('cpu');
  expect(chooseProvider('', ['g0'], proven)).toBe('tensorrt');
  expect(chooseProvider('cuda', ['g0'], proven)).toBe('cuda');
  expect(() => chooseProvider('', ['g0'], ['onnx:cpu'])).toThrow(/none of onnxruntime's providers/);
  expect(() => chooseProvider('coreml', [], proven)).toThrow(/coreml does not work on this/);
  expect(() => chooseProvider('', [], [])).toThrow(/install furrow with its optional packages/);
});

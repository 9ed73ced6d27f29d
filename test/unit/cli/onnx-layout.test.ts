import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { onnxLayout } from '../../../cli/onnx-layout.ts';
import { deepModel, nearestModel } from '../../support/onnx-models.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'furrow-layout-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function stateOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    return (await onnxLayout(file, (await file.stat()).size)).state;
  } finally {
    await file.close();
  }
}

function stateOfBytes(bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'file');
  writeFileSync(path, bytes);
  return stateOf(path);
}

test('models are laid out as models, however they were made', async () => {
  expect(await stateOfBytes(nearestModel(2))).toBe('model');
  expect(await stateOfBytes(deepModel(2, 8, 4))).toBe('model');
  const real = join(import.meta.dirname, '..', '..', '..', '..', 'shared', 'models');
  const names = existsSync(real) ? readdirSync(real).filter((name) => name.endsWith('.onnx')) : [];
  for (const name of names) expect(await stateOf(join(real, name))).toBe('model');
});

test('one that ends too soon is cut short', async () => {
  const bytes = deepModel(2, 8, 4);
  expect(await stateOfBytes(bytes.subarray(0, bytes.length - 40))).toBe('cut-short');
});

test('anything else is none', async () => {
  const mp4 = Buffer.from('\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41', 'latin1');
  expect(await stateOfBytes(mp4)).toBe('none');
  expect(await stateOfBytes(Buffer.alloc(0))).toBe('none');
  expect(await stateOfBytes(Buffer.alloc(4096))).toBe('none');
  expect(await stateOfBytes(Buffer.alloc(4096, 0xff))).toBe('none');
  // A message of known fields, but without a graph.
  expect(await stateOfBytes(Buffer.from([0x08, 0x07, 0x12, 0x02, 0x61, 0x62]))).toBe('none');
});

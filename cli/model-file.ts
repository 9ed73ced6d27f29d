/** A model's file and its manifest, looked at before anything is sent. What is in the model only agents read. */
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { FurrowError, messageOf } from '../kit/furrow-error.ts';
import type { ModelManifest } from '../proto/gen/furrow/v1/model.ts';
import { onnxLayout } from './onnx-layout.ts';
import { readManifest } from '../proto/read-manifest.ts';

const SNIFFED_BYTES = 512;
const MAX_MANIFEST_BYTES = 1024 * 1024;

/** FurrowError: invalid MODEL_IS_NONE, for what is often found in a model's place. */
export async function checkModelFile(path: string, shown: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(SNIFFED_BYTES);
    const { bytesRead } = await handle.read(buffer, 0, SNIFFED_BYTES, 0);
    const what = whatElse(buffer.subarray(0, bytesRead)) ?? (await howElseLaidOut(handle));
    if (what === undefined) return;
    throw new FurrowError('invalid', 'MODEL_IS_NONE', `${shown} is no ONNX model: it is ${what}`);
  } finally {
    await handle.close();
  }
}

/** What a file is that begins so, with the remedy; undefined when it may be a model. */
function whatElse(start: Buffer): string | undefined {
  const text = start.toString('latin1').trimStart();
  if (/^(<!doctype html|<html|<head|<\?xml|<!--)/i.test(text)) {
    return 'a web page; give the address of the file itself, not of the page that shows it';
  }
  if (text.startsWith('version https://git-lfs.github.com/spec')) {
    return 'a Git LFS pointer; fetch the file that it stands for, with git lfs pull or by its download address';
  }
  if (start.subarray(0, 2).toString('latin1') === 'PK') {
    return 'a zip archive, as PyTorch writes checkpoints; unpack it, or export the network to ONNX';
  }
  if (start[0] === 0x80 && (start[1] ?? 0) <= 5) {
    return 'a Python pickle, as PyTorch writes checkpoints; export the network to ONNX';
  }
  if (start[0] === 0x1f && start[1] === 0x8b) return 'compressed (gzip); unpack it first';
  return /^[\t\r\n\x20-\x7e]+$/.test(start.toString('latin1')) ? 'text' : undefined;
}

async function howElseLaidOut(handle: FileHandle): Promise<string | undefined> {
  const { size } = await handle.stat();
  switch ((await onnxLayout(handle, size)).state) {
    case 'model':
      return undefined;
    case 'cut-short':
      return 'cut short; fetch it again';
    case 'none':
      return 'of another format; export the network to ONNX';
  }
}

/** FurrowError: invalid MANIFEST_UNREADABLE, MANIFEST_INVALID. */
export async function readManifestFile(path: string): Promise<ModelManifest> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new FurrowError(
      'invalid',
      'MANIFEST_UNREADABLE',
      `cannot read the manifest '${path}': ${messageOf(error)}`,
    );
  });
  if (text.length > MAX_MANIFEST_BYTES) throw badManifest(path, 'it is larger than 1 MiB');
  let value: unknown;
  try {
    // As some editors begin every file.
    value = JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw badManifest(path, `it is no JSON: ${messageOf(error)}`);
  }
  const read = readManifest(value);
  if (read.state === 'invalid') throw badManifest(path, read.fault);
  return read.manifest;
}

function badManifest(path: string, fault: string): FurrowError {
  return new FurrowError('invalid', 'MANIFEST_INVALID', `the manifest '${path}': ${fault}`);
}

/** Models as the farm knows them, for tests that need no file. */
import type { FarmModel, ModelManifest } from '../../coordinator/domain/model.ts';
import { readManifest } from '../../proto/read-manifest.ts';

/** From what people write; throws with the fault. */
export function manifestFrom(json: object): ModelManifest {
  const read = readManifest({ licence: 'MIT', ...json });
  if (read.state === 'ok') return read.manifest;
  throw new Error(read.fault);
}

/** Of a model that makes pictures four times as large. */
export const MANIFEST = manifestFrom({ kind: 'upscale', scale: 4, halo: 18 });

export function knownModels(
  models: Readonly<Record<string, ModelManifest>>,
): ReadonlyMap<string, FarmModel> {
  return new Map(
    Object.entries(models).map(([name, manifest], index) => {
      const sha256 = String(index + 1)
        .repeat(64)
        .slice(0, 64);
      const file = { name: `${name}.onnx`, sha256, sizeBytes: 1_000 };
      return [name, { name, file, manifest, addedAtMs: 0 }];
    }),
  );
}

/** What must be right in the manifest of a model that makes pictures larger, before anything is started. */
import { ModelKind, type ModelManifest, type UnitModel } from '../../proto/gen/furrow/v1/model.ts';
import { unsafeName } from '../../kit/safe-name.ts';
import { FilmFault } from '../runners/film/film-fault.ts';

const MAX_SCALE = 8;
const MAX_HALO = 1024;
const MAX_MULTIPLE = 1024;

/** Throws FilmFault `invalid-input`. */
export function upscalingManifest(model: UnitModel | undefined): ModelManifest {
  const refuse = (what: string): never => {
    const name = model === undefined ? 'the task' : `the model ${model.name || model.file}`;
    throw new FilmFault('invalid-input', `${name} ${what}`);
  };
  if (model?.manifest === undefined) return refuse('has no manifest: add the model with one');
  const { manifest, file } = model;
  const why = unsafeName(file);
  if (why !== undefined) refuse(`names a file ${JSON.stringify(file)}: ${why}`);
  const { kind, scale, halo, sizeMultiple } = manifest;
  if (kind !== ModelKind.MODEL_KIND_UPSCALE) {
    refuse('does not make pictures larger: its manifest is of another kind');
  }
  if (scale < 2 || scale > MAX_SCALE) refuse(`has the scale ${scale}: it may be 2 to ${MAX_SCALE}`);
  if (halo > MAX_HALO) refuse(`has a halo of ${halo} pixels: it may be ${MAX_HALO}`);
  if (sizeMultiple > MAX_MULTIPLE) {
    refuse(`wants sides of multiples of ${sizeMultiple}: it may be ${MAX_MULTIPLE}`);
  }
  return manifest;
}

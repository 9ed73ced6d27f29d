/** Models added to the farm and taken away. What a manifest may say was checked before. */
import type { AddModel, RemoveModel } from './commands.ts';
import { decided, type Decision, type Now, refused, unchanged } from './decision.ts';
import type { Farm } from './farm.ts';
import { isSameManifest, kindNameOf } from './model.ts';
import { faultOfName, isModelName, isSha256 } from './names.ts';

const MOST_MODELS = 1_000;
/** What a model may say of itself; it stands in every grant of a unit that uses it. */
const MAX_MANIFEST_CHARACTERS = 64 * 1024;

export function decideAddModel(farm: Farm, command: AddModel, now: Now): Decision {
  const { name, file, manifest, replace, missingBlobs } = command;
  const fault = faultOfModel(command);
  if (fault !== undefined) return refused('invalid', 'MODEL_INVALID', fault);
  const known = farm.models.get(name);
  if (known !== undefined) {
    const isSame = known.file.sha256 === file.sha256 && isSameManifest(known.manifest, manifest);
    if (isSame) return unchanged();
    if (!replace) {
      const message = `the farm has another model named ${name}: give this one another name, or say that it takes the place of that one (--replace)`;
      return refused('conflict', 'MODEL_EXISTS', message);
    }
  } else if (farm.models.size >= MOST_MODELS) {
    const message = `the farm keeps ${MOST_MODELS} models and no more: remove some with furrow models remove`;
    return refused('failed-precondition', 'TOO_MANY_MODELS', message);
  }
  if (missingBlobs.length > 0) {
    const message = `the model's file ${file.sha256} is not stored: upload it, then add the model again`;
    return refused('failed-precondition', 'BLOB_MISSING', message);
  }
  return decided([{ type: 'ModelAdded', name, file, manifest, atMs: now.wallMs }]);
}

/** Jobs that use it name its file themselves, and go on. */
export function decideRemoveModel(farm: Farm, { name }: RemoveModel, now: Now): Decision {
  if (farm.models.has(name)) return decided([{ type: 'ModelRemoved', name, atMs: now.wallMs }]);
  const message = `no model has the name ${quote(name)}: see furrow models list`;
  return refused('not-found', 'MODEL_UNKNOWN', message);
}

function faultOfModel({ name, file, manifest }: AddModel): string | undefined {
  if (!isModelName(name)) {
    return `model name ${quote(name)}: use 1–64 letters, digits, ., _ and -`;
  }
  if (!isSha256(file.sha256)) return 'the sha256 of the file must be 64 lower-case hex digits';
  const fault = faultOfName(file.name);
  if (fault !== undefined) return `the file's name ${fault}`;
  if (!Number.isSafeInteger(file.sizeBytes) || file.sizeBytes <= 0) return 'the file is empty';
  if (kindNameOf(manifest) === undefined) return 'the manifest names no kind of model';
  const characters = JSON.stringify(manifest).length;
  return characters > MAX_MANIFEST_CHARACTERS
    ? `the manifest is too large (${characters} characters): at most ${MAX_MANIFEST_CHARACTERS}`
    : undefined;
}

const quote = (text: string): string => JSON.stringify(text.slice(0, 80));

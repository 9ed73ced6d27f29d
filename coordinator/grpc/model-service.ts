/** ModelService: the models that the farm keeps by name. */
import { FurrowError } from '../../kit/furrow-error.ts';
import { checkManifest } from '../../proto/read-manifest.ts';
import type {
  AddModelRequest,
  AddModelResponse,
  Model,
  ModelServiceServer,
} from '../../proto/gen/furrow/v1/model_service.ts';
import { isSha256 } from '../domain/names.ts';
import type { FarmModel } from '../domain/model.ts';
import { memoriesOf, type ModelMemories } from '../domain/model-memory.ts';
import type { Office } from '../office.ts';
import { type Gate, unary } from './handlers.ts';
import { unlessRefused } from './wire.ts';

export interface ModelServiceOptions {
  readonly gate: Gate;
  readonly office: Office;
  /** Pins what is stored and answers what is not. */
  readonly findMissing: (hashes: readonly string[]) => Promise<string[]>;
}

export function modelService(options: ModelServiceOptions): ModelServiceServer {
  const { gate, office } = options;
  return {
    addModel: unary(gate, '/furrow.v1.ModelService/AddModel', (request) =>
      addModel(options, request),
    ),
    removeModel: unary(gate, '/furrow.v1.ModelService/RemoveModel', async ({ name }) => {
      unlessRefused(await office.submit({ type: 'RemoveModel', name }));
      return {};
    }),
    listModels: unary(gate, '/furrow.v1.ModelService/ListModels', async () => ({
      models: await office.read(({ models, modelMemory }) =>
        [...models.values()]
          .map((model) => modelToWire(model, modelMemory))
          .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      ),
    })),
  };
}

/** FurrowError: invalid MODEL_INVALID; conflict MODEL_EXISTS; failed-precondition BLOB_MISSING, TOO_MANY_MODELS. */
async function addModel(
  { office, findMissing }: ModelServiceOptions,
  { name, file, manifest, replace }: AddModelRequest,
): Promise<AddModelResponse> {
  if (file === undefined || manifest === undefined) {
    const message = `the model's ${file === undefined ? 'file' : 'manifest'} is missing`;
    throw new FurrowError('invalid', 'MODEL_INVALID', message);
  }
  const read = checkManifest(manifest);
  if (read.state === 'invalid') {
    throw new FurrowError('invalid', 'MODEL_INVALID', `the manifest: ${read.fault}`);
  }
  const missingBlobs = isSha256(file.sha256) ? await findMissing([file.sha256]) : [];
  const asked = { name, file, manifest: read.manifest, replace, missingBlobs };
  unlessRefused(await office.submit({ type: 'AddModel', ...asked }));
  const model = await office.read(({ models, modelMemory }) => {
    const added = models.get(name);
    return added && modelToWire(added, modelMemory);
  });
  return { model };
}

function modelToWire({ name, file, manifest, addedAtMs }: FarmModel, known: ModelMemories): Model {
  return { name, file, manifest, addedAtMs, memory: memoriesOf(known, file.sha256) };
}

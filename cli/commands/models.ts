/** The models that the farm keeps: added with a manifest, then named by jobs. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Model } from '../../proto/gen/furrow/v1/model_service.ts';
import type { FarmClient } from '../client.ts';
import type { ModelCheckOptions } from '../check-model.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { bytes, frameSize, repeated, sha256 } from '../options.ts';

interface AddOptions {
  readonly manifest?: string;
  readonly name?: string;
  readonly sha256?: string;
  readonly replace?: boolean;
  readonly maxSize?: number;
  readonly allowHttp?: boolean;
}

const DEFAULT_MAX_BYTES = 4 * 1024 ** 3;

export const addModel = defineCommand<AddOptions>({
  name: 'add',
  summary: 'keep a model on the farm, so that jobs can name it',
  description:
    'Sends an ONNX model to the farm, which keeps it under a name. The manifest says what the model does and how it wants its pictures: README has those of common models. Names of inputs and outputs, and what else the model itself says, need not stand in it. Try it with furrow models check.',
  arguments: [{ syntax: '<file|url>', help: 'the model: a file of yours, or an https address' }],
  options: [
    { flags: '--manifest <file>', help: 'JSON that says how the model is used' },
    { flags: '--name <name>', help: "how jobs name it (default: the file's name without .onnx)" },
    {
      flags: '--sha256 <hash>',
      help: 'refuse a file whose hash is another: give it with addresses that are not your own',
      parse: sha256,
    },
    { flags: '--replace', help: 'take the place of another model of that name' },
    {
      flags: '--max-size <size>',
      help: 'most that an address may give, such as 200MiB (default: 4GiB)',
      parse: bytes,
    },
    { flags: '--allow-http', help: 'fetch from an address without TLS, too' },
  ],
  examples: [
    [
      'furrow models add realesr-animevideov3-x4.onnx --manifest realesr.json --name anime-x4',
      'then: furrow submit upscale clip.mp4 --model anime-x4',
    ],
  ],
  async run([source = ''], options, context) {
    if (options.manifest === undefined) {
      const message = 'give --manifest FILE.json: it says how the model is used';
      throw new FurrowError('invalid', 'MANIFEST_MISSING', message);
    }
    const { readManifestFile } = await import('../model-file.ts');
    const manifest = await readManifestFile(options.manifest);
    // Before anything is fetched: whether the farm is there.
    const client = await context.farm();
    await listed(client);
    const file = await stored(source, options, context);
    const name = options.name ?? file.name.replace(/(.)\.(onnx|ort)$/i, '$1');
    const request = { name, file, manifest, replace: options.replace === true };
    const { model } = await client.call(client.models.addModel.bind(client.models), request);
    return { report: { kind: 'model', model: model ?? { ...request, addedAtMs: 0, memory: [] } } };
  },
});

export const listModels = defineCommand({
  name: 'list',
  isDefault: true,
  summary: 'the models that the farm keeps',
  async run(_args, _options, context) {
    return { report: { kind: 'models', models: await listed(await context.farm()) } };
  },
});

export const showModel = defineCommand({
  name: 'show',
  summary: 'all that is known of a model',
  arguments: [{ syntax: '<name>', help: 'as furrow models list shows it' }],
  async run([name = ''], _options, context) {
    const models = await listed(await context.farm());
    const model = models.find((each) => each.name === name);
    if (model !== undefined) return { report: { kind: 'model', model } };
    const names = models.map((each) => each.name).join(', ');
    const message = `no model has the name ${JSON.stringify(name)}: ${names === '' ? 'the farm has none' : `there are ${names}`}`;
    throw new FurrowError('not-found', 'MODEL_UNKNOWN', message);
  },
});

export const checkModel = defineCommand<ModelCheckOptions>({
  name: 'check',
  summary: 'run a model once on the farm, and hold it against its manifest',
  description:
    'Runs a model once on a made picture: says what it takes and makes, for how long, and with how much memory; or what its manifest has wrong.',
  arguments: [{ syntax: '<name>', help: 'as furrow models list shows it' }],
  options: [
    { flags: '--agent <name>', help: 'on this agent (default: any)' },
    {
      flags: '--provider <name>',
      help: 'cpu, cuda, tensorrt, dml, coreml or webgpu; may be repeated (default: cpu)',
      parse: repeated,
    },
    {
      flags: '--size <WxH>',
      help: 'size of the picture (default: what the model wants, else 256x256)',
      parse: frameSize,
    },
  ],
  examples: [['furrow models check anime-x4 --provider cpu --provider cuda', 'by both']],
  async run([name = ''], options, context) {
    const { checkModel: check } = await import('../check-model.ts');
    return check(name, options, context);
  },
});

export const removeModel = defineCommand({
  name: 'remove',
  summary: 'keep a model no more; jobs that use it go on',
  arguments: [{ syntax: '<name>', help: 'as furrow models list shows it' }],
  async run([name = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.models.removeModel.bind(client.models), { name });
    return { report: { kind: 'model-removed', name } };
  },
});

async function listed(client: FarmClient): Promise<readonly Model[]> {
  const { models } = await client.call(client.models.listModels.bind(client.models), {});
  return models;
}

/** The model's file as the farm has it. */
async function stored(source: string, options: AddOptions, context: CommandContext) {
  const { isUrl } = await import('../fetch-url.ts');
  if (!isUrl(source)) return send(source, basename(source), options, context);
  const folder = await mkdtemp(join(tmpdir(), 'furrow-model-'));
  try {
    const { name, path } = await fetched(source, folder, options, context);
    return await send(path, name, options, context);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function fetched(
  url: string,
  folder: string,
  { maxSize = DEFAULT_MAX_BYTES, allowHttp = false }: AddOptions,
  { out, signal }: CommandContext,
): Promise<{ name: string; path: string }> {
  const { fetchUrl, nameInUrl } = await import('../fetch-url.ts');
  const { openTransferView } = await import('../output/transfer-view.ts');
  const name = nameInUrl(url) || 'model.onnx';
  const view = openTransferView(out);
  const path = join(folder, 'model');
  try {
    const limits = { maxBytes: maxSize, allowHttp, signal };
    await fetchUrl(url, path, {
      ...limits,
      onProgress: (done, total) => view.show('fetching', name, done, total),
    });
  } finally {
    view.close();
  }
  return { name, path };
}

async function send(path: string, name: string, options: AddOptions, context: CommandContext) {
  const { checkSource } = await import('../local-files.ts');
  const { checkModelFile } = await import('../model-file.ts');
  const { sha256File } = await import('../../kit/sha256-file.ts');
  const { uploadFiles } = await import('../upload-files.ts');
  const local = await checkSource(path, name);
  await checkModelFile(path, name);
  if (options.sha256 !== undefined) {
    const found = await sha256File(path, { signal: context.signal });
    if (found.sha256 !== options.sha256) {
      const message = `${name} is another file: its SHA-256 is ${found.sha256}, not ${options.sha256}`;
      throw new FurrowError('invalid', 'MODEL_IS_ANOTHER', message);
    }
  }
  const [file] = await uploadFiles([local], context);
  if (file === undefined) throw new TypeError('a file was sent and is not known');
  return file;
}

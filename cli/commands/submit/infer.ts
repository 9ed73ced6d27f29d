import { FurrowError } from '../../../kit/furrow-error.ts';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { checkSource, isFolder } from '../../local-files.ts';
import { bytes, duration, integerIn, numberIn, oneOf } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface InferOptions extends SubmitOptions {
  readonly model?: string;
  readonly threshold?: number;
  readonly most?: number;
  readonly batch?: number;
  readonly every?: number;
  readonly perUnit?: number;
  readonly provider?: string;
  readonly vram?: number;
  readonly format?: string;
}

const PROVIDERS = ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu'] as const;

export const infer = defineCommand<InferOptions>({
  name: 'infer',
  summary: "find what is in pictures, or in a film's frames, with a model",
  description:
    "Looks at all pictures of a folder, or at a film's frames, with a model of the farm's that detects or classifies. Makes results.jsonl: one line for each, in order, with what was found and where, or why it could not be looked at, or results.parquet, with a row for each that says the same; failures.csv lists the latter, summary.json counts.",
  arguments: [{ syntax: '<paths...>', help: 'a folder, pictures, or one film' }],
  options: [
    { flags: '--model <name>', help: 'a model to detect or to classify: see furrow models' },
    {
      flags: '--threshold <n>',
      help: 'leave out findings less sure than this, 0 to 1 (default: 0.3 to detect, 0 to classify)',
      parse: numberIn(0, 1),
    },
    {
      flags: '--most <n>',
      help: 'most findings in one picture (default: 100 to detect, 5 to classify)',
      parse: integerIn(1, 1_000),
    },
    {
      flags: '--batch <n>',
      help: 'pictures through the model at once (default: as many as its manifest allows)',
      parse: integerIn(1, 1_024),
    },
    {
      flags: '--every <time>',
      help: 'of a film: one frame each so often, such as 1s (default: every frame)',
      parse: duration,
    },
    {
      flags: '--per-unit <n>',
      help: 'pictures that one unit looks at (default: some seconds of work)',
      parse: integerIn(1, 10_000),
    },
    {
      flags: '--provider <name>',
      help: `${PROVIDERS.join(', ')} (default: cpu; cuda with --vram)`,
      parse: oneOf(...PROVIDERS),
    },
    {
      flags: '--vram <size>',
      help: 'use a GPU, with so much of its memory, such as 2GiB',
      parse: bytes,
    },
    {
      flags: '--format <name>',
      help: 'what results come in: jsonl, parquet or both (default: jsonl)',
      parse: oneOf('jsonl', 'parquet', 'both'),
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit infer photos/ --model yolox -o found/', 'look at a folder, wait, download'],
    ['furrow submit infer street.mp4 --model yolox --every 1s --watch', 'a frame each second'],
    ['furrow submit infer photos/ --model yolox --format parquet -o found/', 'for pandas, DuckDB'],
  ],
  async run(paths, options, context) {
    const { model = '', threshold, most = 0, batch = 0, every = 0, perUnit = 0 } = options;
    if (model === '') {
      const message = 'give --model NAME: furrow models lists those that the farm has';
      throw new FurrowError('invalid', 'MODEL_MISSING', message);
    }
    await checkOutputOption(options);
    const { provider = '', vram: vramBytes = 0, format } = options;
    const how = { threshold, most, batch, everyMs: every, perUnit, provider, vramBytes };
    const wanted = { model, ...how, format };
    const film = await filmOf(paths);
    if (film !== undefined) {
      const { submitWithFiles } = await import('../../submit-job.ts');
      const workOf = ([value]: readonly File[]) =>
        ({
          $case: 'infer',
          value: { ...wanted, source: { $case: 'film', value: value! } },
        }) as const;
      return submitWithFiles([film], workOf, `${model} on ${film.name}`, options, context);
    }
    const { findPictures } = await import('../../picture-files.ts');
    const { pictures, others } = await findPictures(paths);
    if (others > 0)
      context.out.note(
        `${others} files are left out: they are no pictures by their names, or no files`,
      );
    const { submitWithList } = await import('../../submit-list.ts');
    return submitWithList(
      pictures,
      (list) =>
        ({
          $case: 'infer',
          value: { ...wanted, source: { $case: 'pictures', value: list } },
        }) as const,
      `${model} on ${pictures.length} pictures`,
      options,
      context,
    );
  },
});

/** The one path, when it is a file and has no picture's name. */
async function filmOf(paths: readonly string[]) {
  const { isPictureName } = await import('../../picture-files.ts');
  const [path = ''] = paths;
  if (paths.length !== 1 || isPictureName(path) || (await isFolder(path))) return undefined;
  return checkSource(path);
}

import { basename } from 'node:path';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { checkSource } from '../../local-files.ts';
import { bytes, integerIn, numberIn, repeated } from '../../options.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

interface CommandOptions extends SubmitOptions {
  readonly count?: number;
  readonly cpus?: number;
  readonly ram?: number;
  readonly gpus?: number;
  readonly vram?: number;
  readonly wholeGpus?: boolean;
  readonly input?: readonly string[];
  readonly keep?: readonly string[];
  readonly checkpoint?: boolean;
  readonly network?: boolean;
  readonly timeoutSeconds?: number;
  readonly stallSeconds?: number;
}

const DEFAULT_CPUS = 1;

export const command = defineCommand<CommandOptions>({
  name: 'command',
  summary: 'run a program as many times as wanted',
  description:
    'Runs a program on the agents. No shell reads its arguments; {index} in one of them is the number of the unit, from 0.',
  optionsFirst: true,
  arguments: [{ syntax: '<program...>', help: 'the program and its arguments' }],
  options: [
    { flags: '--count <n>', help: 'units (default: 1)', parse: integerIn(1, 10_000_000) },
    { flags: '--cpus <n>', help: 'cores for each (default: 1)', parse: numberIn(0, 1024) },
    {
      flags: '--ram <size>',
      help: 'memory for each; it is ended when it takes much more (default: what such units were seen to take)',
      parse: bytes,
    },
    { flags: '--gpus <n>', help: 'GPUs for each (default: 0)', parse: integerIn(0, 64) },
    { flags: '--vram <size>', help: 'memory on each of those GPUs, such as 6GiB', parse: bytes },
    { flags: '--whole-gpus', help: 'nothing else may run on those GPUs' },
    { flags: '--input <file>', help: 'give it this file; may be repeated', parse: repeated },
    {
      flags: '--keep <pattern>',
      help: 'a file that it leaves and that you want; * stands for anything; may be repeated',
      parse: repeated,
    },
    {
      flags: '--checkpoint',
      help: 'it leaves files in the folder $FURROW_CHECKPOINT to go on from after a break',
    },
    {
      flags: '--network',
      help: 'it needs the network: only agents whose owner allows that run it',
    },
    {
      flags: '--timeout-seconds <n>',
      help: 'stop a unit that runs longer (default: never)',
      parse: numberIn(0.1, 4_000_000),
    },
    {
      flags: '--stall-seconds <n>',
      help: 'stop a unit that prints nothing for so long (default: 120, if it does not compute either)',
      parse: numberIn(0.1, 4_000_000),
    },
    ...SUBMIT_OPTIONS,
  ],
  examples: [
    ['furrow submit command --count 100 -- echo {index}', 'a hundred small units'],
    [
      "furrow submit command --input scene.blend --keep 'frame-*' -o out/ -- blender -b scene.blend -f {index}",
      'with a file in, and files out',
    ],
  ],
  async run(argv, options, context) {
    const locals = [];
    for (const path of options.input ?? []) locals.push(await checkSource(path));
    await checkOutputOption(options);
    const count = options.count ?? 1;
    const stepWith = (files: readonly File[]) => ({
      name: 'run',
      dependsOn: [],
      parameters: count > 1 ? { kind: { $case: 'count', value: count } as const } : undefined,
      task: {
        kind: {
          $case: 'command',
          value: {
            argv,
            environment: {},
            checkpoint: options.checkpoint,
            network: options.network,
          },
        } as const,
      },
      inputs: files.map((file) => ({ kind: { $case: 'file', value: file } as const })),
      outputs: (options.keep ?? []).map((pattern) => ({ pattern, keep: true, optional: false })),
      demand: {
        cpuMillis: Math.round((options.cpus ?? DEFAULT_CPUS) * 1000),
        ramBytes: options.ram ?? 0,
        gpus: options.gpus ?? (asksForGpu(options) ? 1 : 0),
        vramBytes: options.vram ?? 0,
        wholeGpus: options.wholeGpus,
        scratchBytes: 0,
        encoderSessions: 0,
        attributes: [],
        tickets: {},
      },
      limits: {
        maxAttempts: 0,
        runTimeoutMs: Math.round((options.timeoutSeconds ?? 0) * 1000),
        stallTimeoutMs: Math.round((options.stallSeconds ?? 0) * 1000),
      },
    });
    const workOf = (files: readonly File[]) =>
      ({ $case: 'steps', value: { steps: [stepWith(files)] } }) as const;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles(locals, workOf, basename(argv[0] ?? ''), options, context);
  },
});

const asksForGpu = ({ vram = 0, wholeGpus }: CommandOptions): boolean =>
  vram > 0 || wholeGpus === true;

import { basename } from 'node:path';
import { defineCommand } from '../../command.ts';
import { checkSource } from '../../local-files.ts';
import { bytes, integerIn, numberIn, repeated } from '../../options.ts';
import {
  checkOutputOption,
  SUBMIT_OPTIONS,
  submitJob,
  type SubmitOptions,
} from '../../submit-job.ts';
import { uploadFiles } from '../../upload-files.ts';

interface CommandOptions extends SubmitOptions {
  readonly count?: number;
  readonly cpus?: number;
  readonly ram?: number;
  readonly input?: readonly string[];
  readonly keep?: readonly string[];
  readonly timeoutSeconds?: number;
  readonly stallSeconds?: number;
}

const DEFAULT_CPUS = 1;
const DEFAULT_RAM_BYTES = 256 * 2 ** 20;

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
    { flags: '--ram <size>', help: 'memory for each (default: 256MiB)', parse: bytes },
    { flags: '--input <file>', help: 'give it this file; may be repeated', parse: repeated },
    {
      flags: '--keep <pattern>',
      help: 'a file that it leaves and that you want; * stands for anything; may be repeated',
      parse: repeated,
    },
    {
      flags: '--timeout-seconds <n>',
      help: 'stop a unit that runs longer (default: never)',
      parse: numberIn(0.1, 4_000_000),
    },
    {
      flags: '--stall-seconds <n>',
      help: 'stop a unit that prints nothing for so long (default: 120)',
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
    const files = await uploadFiles(locals, context);
    const count = options.count ?? 1;
    const step = {
      name: 'run',
      dependsOn: [],
      parameters: count > 1 ? { kind: { $case: 'count', value: count } as const } : undefined,
      task: {
        kind: { $case: 'command', value: { argv, environment: {} } } as const,
      },
      inputs: files.map((file) => ({ kind: { $case: 'file', value: file } as const })),
      outputs: (options.keep ?? []).map((pattern) => ({ pattern, keep: true, optional: false })),
      demand: {
        cpuMillis: Math.round((options.cpus ?? DEFAULT_CPUS) * 1000),
        ramBytes: options.ram ?? DEFAULT_RAM_BYTES,
        gpus: 0,
        vramBytes: 0,
        scratchBytes: 0,
        encoderSessions: 0,
        attributes: ['tool:command'],
      },
      limits: {
        maxAttempts: 0,
        runTimeoutMs: Math.round((options.timeoutSeconds ?? 0) * 1000),
        stallTimeoutMs: Math.round((options.stallSeconds ?? 0) * 1000),
      },
    };
    const work = { $case: 'steps', value: { steps: [step] } } as const;
    return submitJob(work, basename(argv[0] ?? ''), options, context);
  },
});

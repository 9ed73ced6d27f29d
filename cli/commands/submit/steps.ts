import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import type { File } from '../../../proto/gen/furrow/v1/step.ts';
import { defineCommand } from '../../command.ts';
import { checkSource } from '../../local-files.ts';
import { checkOutputOption, SUBMIT_OPTIONS, type SubmitOptions } from '../../submit-options.ts';

export const steps = defineCommand<SubmitOptions>({
  name: 'steps',
  summary: 'submit a DAG of steps, spelled out in JSON',
  description:
    'Submits a DAG of steps, spelled out in JSON as the protocol has it (StepList), with an optional name and priority. An input {"path": "file"} is a file of this machine, relative to the document; it is uploaded.',
  arguments: [{ syntax: '<spec>', help: 'a JSON file, or - for standard input' }],
  options: SUBMIT_OPTIONS,
  examples: [
    ['furrow submit steps job.json --watch', 'from a file'],
    [
      `echo '{"steps":[{"name":"hi","task":{"command":{"argv":["echo","hi"]}}}]}' | furrow submit steps -`,
      'from standard input',
    ],
  ],
  async run([path = ''], options, context) {
    const { parseStepsSpec } = await import('../../steps-spec.ts');
    const isStdin = path === '-';
    const source = isStdin
      ? await readAll(process.stdin)
      : await readFile((await checkSource(path)).path, 'utf8');
    const spec = parseStepsSpec(source, isStdin ? 'standard input' : path);
    const locals = [];
    for (const input of spec.localInputs) locals.push(await checkSource(input.path, input.name));
    await checkOutputOption(options);
    const workOf = (files: readonly File[]) =>
      ({ $case: 'steps', value: { steps: spec.steps(files) } }) as const;
    const defaultName = spec.name ?? (isStdin ? 'steps' : basename(path).replace(/\.json$/i, ''));
    const priority = options.priority ?? spec.priority;
    const { submitWithFiles } = await import('../../submit-job.ts');
    return submitWithFiles(locals, workOf, defaultName, { ...options, priority }, context);
  },
});

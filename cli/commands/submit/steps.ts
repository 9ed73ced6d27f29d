import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { defineCommand } from '../../command.ts';
import { checkSource } from '../../local-files.ts';
import { parseStepsSpec } from '../../steps-spec.ts';
import {
  checkOutputOption,
  SUBMIT_OPTIONS,
  submitJob,
  type SubmitOptions,
} from '../../submit-job.ts';
import { uploadFiles } from '../../upload-files.ts';

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
    const isStdin = path === '-';
    const source = isStdin
      ? await readAll(process.stdin)
      : await readFile((await checkSource(path)).path, 'utf8');
    const spec = parseStepsSpec(source, isStdin ? 'standard input' : path);
    const locals = [];
    for (const input of spec.localInputs) locals.push(await checkSource(input.path, input.name));
    await checkOutputOption(options);
    const uploaded = await uploadFiles(locals, context);
    const work = { $case: 'steps', value: { steps: spec.steps(uploaded) } } as const;
    const defaultName = spec.name ?? (isStdin ? 'steps' : basename(path).replace(/\.json$/i, ''));
    const priority = options.priority ?? spec.priority;
    return submitJob(work, defaultName, { ...options, priority }, context);
  },
});

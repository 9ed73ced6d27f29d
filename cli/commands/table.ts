/** Every command, in the order of --help. A new one is a file beside this and a line here. */
import type { Command, CommandGroup } from '../command.ts';
import { agent, coordinator } from '../roles.ts';
import { agents, drain, undrain } from './agents.ts';
import { demo } from './demo.ts';
import { fetch } from './fetch.ts';
import { jobs } from './jobs.ts';
import { logs } from './logs.ts';
import { status } from './status.ts';
import { cancel, pause, resume, retry } from './steer.ts';
import { command } from './submit/command.ts';
import { steps } from './submit/steps.ts';
import { transcode } from './submit/transcode.ts';
import { units } from './units.ts';
import { up } from './up.ts';
import { watch } from './watch.ts';

const submit: CommandGroup = {
  name: 'submit',
  summary: 'submit a job: a film, a DAG of steps, or a program',
  commands: [transcode, steps, command],
};

export const COMMANDS: readonly (Command | CommandGroup)[] = [
  up,
  demo,
  submit,
  watch,
  jobs,
  units,
  logs,
  fetch,
  cancel,
  retry,
  pause,
  resume,
  status,
  agents,
  drain,
  undrain,
  coordinator,
  agent,
];

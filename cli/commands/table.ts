/** Every command, in the order of --help. A new one is a file beside this and a line here. */
import type { Command, CommandGroup } from '../command.ts';
import { agent, coordinator, join } from '../roles.ts';
import { pauseAgent, policy, resumeAgent } from './agent-policy.ts';
import { drain, listAgents, undrain } from './agents.ts';
import { showConfig } from './config.ts';
import { addContext, listContexts, removeContext, showContext, useContext } from './context.ts';
import { demo } from './demo.ts';
import { explain } from './explain.ts';
import { fetch } from './fetch.ts';
import { jobs } from './jobs.ts';
import { logs } from './logs.ts';
import { addModel, checkModel, listModels, removeModel, showModel } from './models.ts';
import { proof } from './proof.ts';
import { results } from './results.ts';
import { sizes } from './sizes.ts';
import { listOwners, listTickets, setOwner, setTickets } from './sharing.ts';
import { status } from './status.ts';
import { cancel, pause, remove, resume, retry } from './steer.ts';
import { command } from './submit/command.ts';
import { interpolate } from './submit/interpolate.ts';
import { infer } from './submit/infer.ts';
import { folder } from './submit/folder.ts';
import { ladder } from './submit/ladder.ts';
import { render } from './submit/render.ts';
import { audio } from './submit/audio.ts';
import { concat } from './submit/concat.ts';
import { proxy } from './submit/proxy.ts';
import { stabilize } from './submit/stabilize.ts';
import { montage } from './submit/montage.ts';
import { steps } from './submit/steps.ts';
import { thumbnails } from './submit/thumbnails.ts';
import { transcode } from './submit/transcode.ts';
import { upscale } from './submit/upscale.ts';
import { natsConfig } from './nats-config.ts';
import { createToken, invite, listTokens, revokeAgent, revokeToken } from './tokens.ts';
import { units } from './units.ts';
import { up } from './up.ts';
import { watch } from './watch.ts';

const submit: CommandGroup = {
  name: 'submit',
  summary: 'submit a job: a film, a DAG of steps, or a program',
  commands: [
    transcode,
    ladder,
    folder,
    proxy,
    stabilize,
    thumbnails,
    audio,
    concat,
    montage,
    upscale,
    interpolate,
    infer,
    render,
    steps,
    command,
  ],
};

const models: CommandGroup = {
  name: 'models',
  summary: 'the models that the farm keeps, for jobs to name',
  commands: [listModels, addModel, showModel, checkModel, removeModel],
};

const tickets: CommandGroup = {
  name: 'tickets',
  summary: 'named tickets, such as licences, that units hold while they run',
  commands: [listTickets, setTickets],
};

const owners: CommandGroup = {
  name: 'owners',
  summary: "owners' shares of the farm",
  commands: [listOwners, setOwner],
};

const agents: CommandGroup = {
  name: 'agents',
  summary: 'list the agents and what they have; say when each works',
  commands: [listAgents, invite, revokeAgent, policy, pauseAgent, resumeAgent],
};

const token: CommandGroup = {
  name: 'token',
  summary: 'who may use the farm',
  commands: [listTokens, createToken, revokeToken],
};

const context: CommandGroup = {
  name: 'context',
  summary: 'the farms that this machine knows by a name',
  commands: [listContexts, addContext, useContext, showContext, removeContext],
};

const config: CommandGroup = {
  name: 'config',
  summary: 'what is set, and where it was set',
  commands: [showConfig],
};

export const COMMANDS: readonly (Command | CommandGroup)[] = [
  up,
  demo,
  submit,
  watch,
  jobs,
  units,
  explain,
  logs,
  fetch,
  proof,
  results,
  cancel,
  retry,
  pause,
  resume,
  remove,
  status,
  agents,
  drain,
  undrain,
  sizes,
  models,
  tickets,
  owners,
  token,
  context,
  config,
  natsConfig,
  coordinator,
  join,
  agent,
];

/** When an agent works for the farm, and with how much of its machine. */
import { hostname } from 'node:os';
import type { PolicyTerms } from '../../proto/agent-policy.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import { defineCommand, type CommandContext, type CommandResult } from '../command.ts';
import { bytesPerSecond, duration, hours, integerIn, numberIn, oneOf } from '../options.ts';

const AGENT = [{ syntax: '[agent]', help: "name or id (default: this machine's name)" }];
const percent = integerIn(1, 100);

interface PolicyOptions extends Partial<Omit<PolicyTerms, 'maxCpuMillis' | 'pausedUntilMs'>> {
  readonly grace?: number;
  readonly idleAfter?: number;
  readonly maxCpus?: number;
  readonly maxBandwidth?: number;
  readonly clear?: boolean;
}

export const policy = defineCommand<PolicyOptions>({
  name: 'policy',
  summary: 'say when an agent works, and with how much of its machine',
  description:
    'Says when an agent works, and with how much of its machine; shows it when nothing is said. What is not named stays as it is. What its owner set at the machine holds beside it.',
  arguments: AGENT,
  options: [
    {
      flags: '--mode <mode>',
      help: 'always, idle (only while nobody uses the machine), or never',
      parse: oneOf('always', 'idle', 'never'),
    },
    {
      flags: '--on-busy <what>',
      help: 'when it closes, running units finish, or evict: they run elsewhere',
      parse: oneOf('finish', 'evict'),
    },
    { flags: '--grace <time>', help: 'until they are evicted, such as 60s', parse: duration },
    {
      flags: '--idle-after <time>',
      help: 'idle when unused for so long, such as 5m',
      parse: duration,
    },
    {
      flags: '--max-load-percent <n>',
      help: "busy when others use more of the machine's processors",
      parse: percent,
    },
    { flags: '--max-gpu-percent <n>', help: 'busy when others use more of a GPU', parse: percent },
    {
      flags: '--hours <windows>',
      help: "works only then, such as 'mon-fri 19:00-07:00; sat,sun 00:00-24:00'; any: no such limit",
      parse: hours,
    },
    { flags: '--time-zone <zone>', help: "of the hours (default: the machine's)" },
    { flags: '--max-cpus <n>', help: 'cores for units; 0: all', parse: numberIn(0, 4096) },
    { flags: '--max-units <n>', help: 'units at once; 0: any', parse: integerIn(0, 100_000) },
    {
      flags: '--max-vram-percent <n>',
      help: "of each GPU's memory",
      parse: integerIn(0, 100),
    },
    {
      flags: '--max-bandwidth <size>',
      help: 'for files from and to the farm, such as 20MB/s; 0: no limit',
      parse: bytesPerSecond,
    },
    { flags: '--clear', help: 'forget all that was set' },
  ],
  examples: [
    ['furrow agents policy den --mode idle --on-busy evict --grace 60s', 'a gaming PC'],
    ["furrow agents policy office --hours 'mon-fri 19:00-07:00; sat,sun 00:00-24:00'", 'a desk'],
    ['furrow agents policy den --clear', 'as if nothing had been said'],
  ],
  async run([name], { clear, ...options }, context) {
    const changes = changesOf(options);
    const isChange = Object.keys(changes).length > 0;
    if (clear === true && isChange) {
      const message = '--clear forgets all that was set: give no other option with it';
      throw new FurrowError('invalid', 'OPTION_INVALID', message);
    }
    if (clear === true) return setPolicy(context, name, undefined);
    return isChange ? setPolicy(context, name, changes) : showPolicy(context, name);
  },
});

export const pauseAgent = defineCommand({
  name: 'pause',
  summary: 'let an agent do nothing for a while',
  description:
    'Lets an agent do nothing for a while; its running units finish or are evicted, as its policy says. End it with furrow agents resume.',
  arguments: [...AGENT, { syntax: '[time]', help: 'such as 90m (default: 1h)' }],
  async run(args, _options, context) {
    // `pause 2h` on the machine itself.
    const [name, time] = args.length === 1 && isDuration(args[0]) ? [undefined, args[0]] : args;
    const pausedUntilMs = Date.now() + duration(time ?? '1h');
    return setPolicy(context, name, { pausedUntilMs });
  },
});

export const resumeAgent = defineCommand({
  name: 'resume',
  summary: "end an agent's pause",
  arguments: AGENT,
  run: ([name], _options, context) => setPolicy(context, name, { pausedUntilMs: 0 }),
});

function changesOf(options: Omit<PolicyOptions, 'clear'>): Partial<PolicyTerms> {
  const { grace, idleAfter, maxCpus, maxBandwidth, ...same } = options;
  const changes = {
    ...same,
    graceMs: grace,
    idleAfterMs: idleAfter,
    maxCpuMillis: maxCpus === undefined ? undefined : Math.floor(maxCpus * 1000),
    maxBytesPerSecond: maxBandwidth,
  };
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

async function showPolicy(context: CommandContext, name = thisMachine()): Promise<CommandResult> {
  const { agent, terms } = await find(context, name);
  const { closedReason } = agent;
  return { report: { kind: 'policy', agent: agent.name, terms, closedReason } };
}

/** Undefined changes: all of it goes. */
async function setPolicy(
  context: CommandContext,
  name = thisMachine(),
  changes: Partial<PolicyTerms> | undefined,
): Promise<CommandResult> {
  const { OPEN_TERMS, policyFromTerms } = await import('../../proto/agent-policy.ts');
  const { agent, terms } = await find(context, name);
  const wanted = changes && { ...OPEN_TERMS, ...terms, ...changes };
  const client = await context.farm();
  await client.call(client.farm.setAgentPolicy.bind(client.farm), {
    agent: agent.id,
    policy: wanted && policyFromTerms(wanted),
  });
  return {
    report: { kind: 'policy', agent: agent.name, terms: wanted, closedReason: undefined },
  };
}

async function find(context: CommandContext, name: string) {
  const { termsOfPolicy } = await import('../../proto/agent-policy.ts');
  const client = await context.farm();
  const { agents } = await client.call(client.farm.listAgents.bind(client.farm), {});
  const agent = agents.find(({ id }) => id === name) ?? agents.find((each) => each.name === name);
  if (agent === undefined) {
    const message = `no agent is called ${JSON.stringify(name)}: see furrow agents`;
    throw new FurrowError('not-found', 'AGENT_UNKNOWN', message);
  }
  return { agent, terms: agent.policy && termsOfPolicy(agent.policy) };
}

function isDuration(text: string | undefined): boolean {
  return text !== undefined && /^\d/.test(text) && /[smhd]$/.test(text);
}

/** As an agent that was given no name is called. */
function thisMachine(): string {
  return hostname()
    .replace(/[^\w.-]/g, '-')
    .slice(0, 64);
}

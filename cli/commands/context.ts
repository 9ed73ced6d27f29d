/** The farms that this machine knows by a name; what is stored is cli/contexts.ts. */
import { furrowHome } from '../../kit/furrow-home.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { CommandContext } from '../command.ts';
import { defineCommand } from '../command.ts';
import { checkContextName, contextNamed, LOCAL_CONTEXT } from '../contexts.ts';
import { changeContexts, type Contexts, readContexts } from '../contexts.ts';
import { viewOfContexts } from '../context-view.ts';

const NAME = [{ syntax: '<name>', help: 'as furrow context list shows it' }];

export const listContexts = defineCommand({
  name: 'list',
  isDefault: true,
  summary: 'the farms that are known here, and which one is current',
  description: `Lists the farms that are known here. The current one, marked with *, is the one that commands talk to when nothing else is said; ${LOCAL_CONTEXT} is this machine's farm.`,
  async run(_args, _options, context) {
    const contexts = await viewOfContexts(furrowHome(undefined, context.environment));
    noteOverride(context);
    return { report: { kind: 'contexts', contexts } };
  },
});

interface AddOptions {
  readonly urlFile?: string;
  readonly check: boolean;
  readonly replace?: boolean;
}

export const addContext = defineCommand<AddOptions>({
  name: 'add',
  summary: 'know a farm by a name, from its URL',
  description:
    "Stores a farm's address, certificate authority and token under a name, readable by you alone. The farm is asked once whether they are right. Others on this machine can read a command line while it runs: give - or --url-file where that matters.",
  arguments: [
    { syntax: '<name>', help: 'up to 64 letters, digits, dots, dashes and underscores' },
    {
      syntax: '[url]',
      help: 'furrow://HOST:PORT?ca=sha256:…&token=…; - reads it from standard input',
    },
  ],
  options: [
    { flags: '--url-file <file>', help: 'file that holds the URL' },
    { flags: '--no-check', help: 'store it without asking the farm' },
    { flags: '--replace', help: 'also when there is one of that name' },
  ],
  examples: [
    ["furrow context add prod 'furrow://farm.example:7400?ca=sha256:…&token=…'", 'by its URL'],
    ['furrow context add prod - <prod.url', 'seen by nobody'],
  ],
  async run([name = '', url], options, context) {
    const { askContext } = await import('../add-context.ts');
    checkContextName(name);
    const home = furrowHome(undefined, context.environment);
    const mayReplace = options.replace === true;
    refuseTaken(name, await readContexts(home), mayReplace);
    const added = await askContext(name, { ...options, url }, context);
    await changeContexts(home, (contexts) => {
      // To ask took a while.
      refuseTaken(name, contexts, mayReplace);
      return { ...contexts, farms: new Map(contexts.farms).set(name, added) };
    });
    const shown = await viewOf(name, context);
    if (!shown.isCurrent) {
      context.out.note(
        `talk to it with --context ${name}, or from now on: furrow context use ${name}`,
      );
    }
    return { report: { kind: 'context', words: 'is known here', context: shown } };
  },
});

function refuseTaken(name: string, { farms }: Contexts, mayReplace: boolean): void {
  if (name === LOCAL_CONTEXT) {
    const message = `${LOCAL_CONTEXT} is this machine's farm, which is there by itself: choose another name`;
    throw new FurrowError('invalid', 'CONTEXT_NAME_INVALID', message);
  }
  if (mayReplace || !farms.has(name)) return;
  const message = `there is a context ${name} already: choose another name, or give --replace`;
  throw new FurrowError('conflict', 'CONTEXT_EXISTS', message);
}

export const useContext = defineCommand({
  name: 'use',
  summary: 'talk to that farm from now on',
  description:
    'Makes a context the current one. What furrow up and furrow agent do does not change with it.',
  arguments: NAME,
  async run([name = ''], _options, context) {
    const home = furrowHome(undefined, context.environment);
    await changeContexts(home, (contexts) => {
      if (name !== LOCAL_CONTEXT) contextNamed(contexts, name);
      return { ...contexts, current: name };
    });
    noteOverride(context);
    return {
      report: { kind: 'context', words: 'is current', context: await viewOf(name, context) },
    };
  },
});

export const showContext = defineCommand({
  name: 'show',
  summary: 'one of them, without its token',
  arguments: [{ syntax: '[name]', help: 'default: the current one' }],
  async run([name], _options, context) {
    const { current } = await readContexts(furrowHome(undefined, context.environment));
    const shown = await viewOf(name ?? current, context);
    return { report: { kind: 'context', words: undefined, context: shown } };
  },
});

export const removeContext = defineCommand({
  name: 'remove',
  summary: 'forget a farm and its token',
  description: `Forgets a farm and its token, on this machine alone. When it was the current one, ${LOCAL_CONTEXT} is.`,
  arguments: NAME,
  async run([name = ''], _options, context) {
    if (name === LOCAL_CONTEXT) {
      const message = `${LOCAL_CONTEXT} is this machine's farm and cannot be forgotten`;
      throw new FurrowError('invalid', 'CONTEXT_NAME_INVALID', message);
    }
    const home = furrowHome(undefined, context.environment);
    await changeContexts(home, (contexts) => {
      contextNamed(contexts, name);
      const farms = new Map([...contexts.farms].filter(([each]) => each !== name));
      return { farms, current: contexts.current === name ? LOCAL_CONTEXT : contexts.current };
    });
    return { report: { kind: 'context-removed', name } };
  },
});

async function viewOf(name: string, { environment }: CommandContext) {
  const home = furrowHome(undefined, environment);
  const found = (await viewOfContexts(home)).find((each) => each.name === name);
  if (found !== undefined) return found;
  contextNamed(await readContexts(home), name);
  throw new TypeError(`the context ${name} went away meanwhile`);
}

/** The environment comes before the current context. */
function noteOverride({ out, environment }: CommandContext): void {
  const variable = ['FURROW_FARM', 'FURROW_CONTEXT'].find((each) => environment[each]);
  if (variable !== undefined) out.note(`$${variable} is set here, and comes first`);
}

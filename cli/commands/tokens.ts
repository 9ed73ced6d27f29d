/** Who may use the farm: tokens for people and services, invitations for machines, and their ends. */
import { Role, type CreateTokenResponse } from '../../proto/gen/furrow/v1/farm_service.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { duration, oneOf } from '../options.ts';

const ROLES = {
  admin: Role.ROLE_ADMIN,
  submit: Role.ROLE_SUBMIT,
  view: Role.ROLE_VIEW,
  agent: Role.ROLE_AGENT,
} as const;

type RoleName = keyof typeof ROLES;

const DAY_MS = 24 * 60 * 60 * 1000;

export const createToken = defineCommand<{
  role?: RoleName;
  owner?: string;
  label?: string;
  expires?: number;
}>({
  name: 'create',
  summary: 'make a token for somebody, or for a service',
  description:
    "Makes a token and prints it once, within the farm's URL: keep it as you keep a password. The farm stores only its hash. admin may do everything; submit sends jobs, sees and steers them; view looks on; agent lets machines join and nothing else. With --owner it is for that owner's jobs alone.",
  options: [
    {
      flags: '--role <role>',
      help: 'admin, submit, view or agent (default: submit)',
      parse: oneOf('admin', 'submit', 'view', 'agent'),
    },
    { flags: '--owner <name>', help: 'whose jobs alone it sees and touches' },
    { flags: '--label <text>', help: 'what it is for, for people' },
    { flags: '--expires <time>', help: 'such as 24h or 90d (default: never)', parse: duration },
  ],
  examples: [
    ['furrow token create --owner mia --expires 90d', "a token for mia's jobs"],
    ['furrow token create --role view --label dashboard', 'one that can only look'],
  ],
  async run(_args, { role = 'submit', owner = '', label = '', expires }, context) {
    return made(await create(context, { role, owner, label, expiresMs: expires }));
  },
});

export const invite = defineCommand<{ label?: string; expires?: number }>({
  name: 'invite',
  summary: 'print the line with which machines join',
  description:
    'Makes a token with which machines may join, and prints the line to run on each of them. It is good for any number of machines until it ends: furrow token revoke ends it early, and harms none that has joined.',
  options: [
    { flags: '--label <text>', help: 'what it is for, for people' },
    { flags: '--expires <time>', help: 'such as 1h or 7d (default: 24h)', parse: duration },
  ],
  examples: [['furrow agent invite --expires 1h', 'for the next hour']],
  async run(_args, { label = 'invitation', expires = DAY_MS }, context) {
    const { token, url } = await create(context, {
      role: 'agent',
      owner: '',
      label,
      expiresMs: expires,
    });
    const { id = '', expiresAtMs = 0 } = token ?? {};
    return { report: { kind: 'invitation', id, url, expiresAtMs } };
  },
});

export const listTokens = defineCommand({
  name: 'list',
  isDefault: true,
  summary: 'tokens that were not revoked, and when they were used last',
  async run(_args, _options, context) {
    const client = await context.farm();
    const { tokens } = await client.call(client.farm.listTokens.bind(client.farm), {});
    return { report: { kind: 'tokens', tokens } };
  },
});

export const revokeToken = defineCommand({
  name: 'revoke',
  summary: 'end a token at once',
  description:
    'Ends a token at once. Agents that joined with it stay: furrow agents revoke ends those.',
  arguments: [{ syntax: '<id>', help: 'as furrow token list shows it' }],
  async run([id = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.farm.revokeToken.bind(client.farm), { id });
    return { report: { kind: 'revoked', what: 'token', name: id } };
  },
});

export const revokeAgent = defineCommand({
  name: 'revoke',
  summary: 'shut an agent out',
  description:
    'Shuts an agent out within seconds: its connections are cut, its key opens nothing any more, and its units go elsewhere. It may come back by a new invitation.',
  arguments: [{ syntax: '<agent>', help: 'name or id' }],
  async run([agent = ''], _options, context) {
    const client = await context.farm();
    await client.call(client.farm.revokeAgent.bind(client.farm), { agent });
    return { report: { kind: 'revoked', what: 'agent', name: agent } };
  },
});

interface Wanted {
  readonly role: RoleName;
  readonly owner: string;
  readonly label: string;
  /** Undefined: it never ends. */
  readonly expiresMs: number | undefined;
}

async function create(
  context: CommandContext,
  { role, owner, label, expiresMs }: Wanted,
): Promise<CreateTokenResponse> {
  const client = await context.farm();
  const expiresAtMs = expiresMs === undefined ? 0 : Date.now() + expiresMs;
  const request = { role: ROLES[role], owner, label, expiresAtMs };
  return client.call(client.farm.createToken.bind(client.farm), request);
}

function made({ token, secret, url }: CreateTokenResponse) {
  return { report: { kind: 'token', token, secret, url } } as const;
}

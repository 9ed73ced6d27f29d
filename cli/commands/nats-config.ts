import { defineCommand } from '../command.ts';

export const natsConfig = defineCommand<{
  home?: string;
  certificate?: string;
  accounts?: string;
}>({
  name: 'nats-config',
  summary: 'print what nats-servers of your own need to let this farm in',
  description:
    "Prints the part of nats-server's configuration that lets in this farm's coordinators and agents, by TLS, each with its own credentials, and nobody else: for a cluster of your own. It is the same for all servers; include it in theirs. The certificate is keys/nats-server.pem in the state folder: bring it to each server. Start coordinators with --nats-private and tls:// addresses.",
  options: [
    { flags: '--home <dir>', help: 'state folder (default: $FURROW_HOME, else ~/.furrow)' },
    {
      flags: '--certificate <file>',
      help: 'where the servers find the certificate (default: as it lies here)',
    },
    {
      flags: '--accounts <dir>',
      help: 'folder of each server for what it is told of accounts (default: accounts)',
    },
  ],
  examples: [['furrow nats-config > farm.conf', 'then: include ./farm.conf']],
  async run(_args, { home, certificate, accounts = 'accounts' }, { out, environment }) {
    const { clusterConfig } = await import('../up/nats-identity.ts');
    const { furrowHome } = await import('../../kit/furrow-home.ts');
    const config = await clusterConfig(furrowHome(home, environment), { certificate, accounts });
    for (const line of config.trimEnd().split('\n')) out.line(line);
    return {};
  },
});

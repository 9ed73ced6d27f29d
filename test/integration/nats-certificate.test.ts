/** The private nats-server as `furrow up` configures it: accounts, TLS, and a certificate that is renewed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connect as connectTcp } from 'node:net';
import { onTestFinished, test } from 'vitest';
import { natsIdentity } from '../../cli/up/nats-identity.ts';
import { startNatsServer } from '../../cli/up/nats-server.ts';
import { ensureFarmCa, ensureServerIdentity } from '../../kit/farm-ca.ts';
import { furrowHome } from '../../kit/furrow-home.ts';
import { createLog } from '../../kit/log.ts';
import { connectNats } from '../../kit/nats-connection.ts';
import { until } from '../support/farm.ts';
import { natsServerOf, NATS_VERSIONS } from '../support/nats-server.ts';

/** The certificate that it shows after NATS's greeting. */
function fingerprintAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const plain = connectTcp(port, '127.0.0.1');
    plain.once('error', reject);
    plain.once('data', () => {
      const socket = connectTls({ socket: plain, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  });
}

test.each(NATS_VERSIONS)(
  'a renewed certificate is shown without a restart, nats %s',
  async (version) => {
    const root = await mkdtemp(join(tmpdir(), 'furrow-nats-'));
    const home = furrowHome(root, {});
    const identity = await natsIdentity(home, ['127.0.0.1']);
    const server = await startNatsServer({
      binary: await natsServerOf(version),
      directory: home.natsDir,
      monitorSecret: 'x'.repeat(43),
      ...identity,
      port: 0,
      monitorPort: 0,
      maxFileStoreBytes: undefined,
      log: createLog({ role: 'test', level: 'silent' }),
    });
    onTestFinished(async () => {
      await server.stop(2_000);
      await rm(root, { recursive: true, force: true });
    });
    const nats = await connectNats({ servers: [server.url], ...identity.own, name: 'test' });
    onTestFinished(() => nats.close());
    const before = await fingerprintAt(server.port);
    const ca = await ensureFarmCa(home.keysDir);
    await ensureServerIdentity(home.keysDir, ca, ['192.168.77.7']);
    server.reload();
    await until('another certificate', async () => (await fingerprintAt(server.port)) !== before);
    // Whoever was connected stays, or is back at once: 2.10 hangs up on everybody.
    await until('JetStream', async () => {
      const asked = nats.request('$JS.API.INFO', '', { timeout: 1_000 });
      return asked.then(
        () => true,
        () => false,
      );
    });
  },
);

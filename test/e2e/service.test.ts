/**
 * deploy/install-agent.sh as an owner runs it, under a real systemd: a coordinator's service beside it, an agent
 * that joins, works behind the service's walls, goes back when an upgrade fails, and is removed.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findNatsServer } from '../../cli/up/nats-binary.ts';
import { packFurrow, packLater } from '../support/furrow-package.ts';
import { canBootSystemd, runUnderSystemd, SHARED } from '../support/systemd-machine.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const LIMIT_MS = 150_000;

test('an agent is installed, works, is upgraded and removed', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'furrow-service-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  if (!canBootSystemd(folder)) return context.skip();
  chmodSync(folder, 0o755);
  const packed = inside(folder, await packFurrow(folder));
  // Its program knows its version, and nothing of agents.
  const later = inside(folder, await packLater(folder, { version: '9.0.0' }));
  const nats = await findNatsServer(ROOT, process.env);
  const script = scriptOf({ packed, later, nats: nats.path });
  const { exitCode, log } = await runUnderSystemd(folder, script, LIMIT_MS);
  expect({ exitCode, log }).toMatchObject({ exitCode: 0 });

  // Who the unit is, and what the service's walls leave it.
  expect(log).toMatch(/uid=\d+\(furrow\) gid=\d+\(furrow\)/);
  expect(log).toMatch(/CapBnd:\s+0{16}\n/);
  expect(log).toMatch(/NoNewPrivs:\s+1\n/);
  expect(log).toMatch(/Seccomp:\s+2\n/);
  for (const refused of ['/etc/x', '/var/lib/x', '/usr/x', '/home/x', '/root/x', '/opt/furrow/x']) {
    expect(log).toContain(`cannot touch '${refused}'`);
  }
  expect(log).toContain('durable  yes');
  expect(log).toContain('walled off by namespaces');
  expect(log).toContain('furrow-agent.service in a control group');
  // The upgrade that does not stay up was taken back.
  expect(log).toContain('install-agent: the agent does not stay up');
  expect(log).toContain('everything is gone');
}, 180_000);

const inside = (folder: string, path: string): string => path.replace(folder, SHARED);

const WALLS = [
  'id',
  'grep -E "CapBnd|NoNewPrivs|Seccomp:" /proc/self/status',
  'touch /etc/x /var/lib/x /usr/x /home/x /root/x /opt/furrow/x',
  'bwrap --ro-bind / / --dev /dev --proc /proc --unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts echo walled off by namespaces',
  'grep -o "furrow-agent.service" /proc/self/cgroup | head -n 1 | sed "s/$/ in a control group/"',
].join('; ');

interface Parts {
  readonly packed: string;
  readonly later: string;
  readonly nats: string;
}

function scriptOf({ packed, later, nats }: Parts): string {
  return `
set -euxo pipefail
export PATH=${dirname(process.execPath)}:$PATH HOME=/root FURROW_HOME=/var/lib/private/furrow-coordinator
installer() { env -u FURROW_HOME bash ${ROOT}/deploy/install-agent.sh "$@"; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done; return 1; }
is_online() { furrow agents | grep -q 'box.*online'; }
pid_of_agent() { systemctl show --property MainPID --value furrow-agent; }

installer --no-join --without-onnx --name box --package ${packed}
# What a unit can do behind the service's walls, without those that the agent puts up for it.
printf '%s\\n' FURROW_AGENT_ALLOW_COMMANDS=all FURROW_AGENT_SANDBOX=off >>/etc/furrow/agent.env

: the service of a coordinator, by the head of its unit
install -m 755 ${nats} /usr/local/bin/nats-server
echo 'FURROW_UP_FLAGS=--grpc-port 0 --http-port 0 --nats-port 0' >/etc/furrow/coordinator.env
cp /opt/furrow/current/node_modules/furrow/deploy/systemd/furrow-coordinator.service /etc/systemd/system/
systemctl daemon-reload && systemctl enable --now furrow-coordinator
until_true furrow status || { journalctl -u furrow-coordinator --no-pager; exit 1; }
furrow status

url=$(furrow --json agent invite | sed 's/.*"url":"\\([^"]*\\)".*/\\1/')
installer --without-onnx --name box --package ${packed} --url-file - <<<"$url"
until_true is_online || { journalctl -u furrow-agent --no-pager; exit 1; }

job=$(furrow submit command -- sh -c '${WALLS}')
furrow watch "$job" || true
furrow logs "$job"

: again, nothing changes
pid=$(pid_of_agent)
installer --no-join --without-onnx --package ${packed}
[[ $(pid_of_agent) == "$pid" ]]

: an upgrade that does not work
if installer --upgrade --package ${later}; then exit 1; fi
until_true is_online
systemctl is-active furrow-agent
[[ $(pid_of_agent) != "$pid" && $(/usr/local/bin/furrow --version) != 9.0.0 ]]

: removal
systemctl disable --now furrow-coordinator
rm /etc/systemd/system/furrow-coordinator.service /etc/furrow/coordinator.env
installer --remove --purge
if systemctl cat furrow-agent || id furrow; then exit 1; fi
for path in /opt/furrow /etc/furrow /var/lib/furrow /usr/local/bin/furrow; do [[ ! -e $path ]]; done
echo everything is gone
`;
}

/**
 * Ends a child that does not watch us itself, should we be killed: a shell that waits at the end of a
 * pipe from us, which the system closes however we die. Nothing but POSIX is asked for.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/** Time for the coordinator to end first. */
const GRACE_SECONDS = 2;
const SCRIPT = `cat >/dev/null; sleep ${GRACE_SECONDS}; kill "$1" 2>/dev/null`;

export function endWithUs(child: ChildProcess): void {
  if (child.pid === undefined) return;
  const watcher = spawn('sh', ['-c', SCRIPT, 'furrow-watcher', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // A Ctrl-C of the terminal is ours to answer.
    detached: true,
  });
  // Where there is no shell, the next start finds what was left.
  watcher.on('error', () => undefined);
  watcher.stdin.on('error', () => undefined);
  watcher.unref();
  child.once('exit', () => {
    if (watcher.pid === undefined || watcher.exitCode !== null) return;
    try {
      // With the `cat` that it waits for.
      process.kill(-watcher.pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  });
}

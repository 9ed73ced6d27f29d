/**
 * Children that must not outlive this process when it exits in a hurry: a second Ctrl-C, an error that
 * nobody caught. (When it is killed itself, roles notice by their standard input.)
 */
import type { ChildProcess } from 'node:child_process';

const children = new Set<ChildProcess>();

export function killOnExit(child: ChildProcess): void {
  // Before those who clean up after them.
  if (children.size === 0) process.prependListener('exit', killAll);
  children.add(child);
  const forget = (): void => {
    children.delete(child);
    if (children.size === 0) process.off('exit', killAll);
  };
  child.once('exit', forget).once('error', forget);
}

function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

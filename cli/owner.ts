/** On whose account jobs are submitted, unless the line says it. */
import { userInfo } from 'node:os';
import { DEFAULT_SOURCE, type Source, variableSource } from '../kit/settings-sources.ts';

/** Undefined where the system knows no user, as in some containers, or one that is no owner's name. */
export function usualOwner(environment: NodeJS.ProcessEnv): {
  readonly name: string | undefined;
  readonly from: Source;
} {
  const there = environment['FURROW_OWNER'];
  if (there !== undefined) return { name: there, from: variableSource('FURROW_OWNER') };
  return { name: nameOfUser(), from: DEFAULT_SOURCE };
}

function nameOfUser(): string | undefined {
  try {
    const { username } = userInfo();
    return /^[A-Za-z0-9][\w.@-]{0,63}$/.test(username) ? username : undefined;
  } catch {
    return undefined;
  }
}

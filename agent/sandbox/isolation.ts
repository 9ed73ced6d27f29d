/** How far this agent keeps units' programs apart from the machine: what it allows, what it can, and what it tells. */
import { userInfo } from 'node:os';
import type { Isolation } from '../../proto/gen/furrow/v1/agent_service.ts';
import { FurrowError } from '../../kit/furrow-error.ts';
import type { Logger } from '../../kit/log.ts';
import type { AgentConfig } from '../config.ts';
import { findProgram } from '../process/find-program.ts';
import { Sandbox, type OpenedSandbox, type SandboxOptions } from './sandbox.ts';
import type { AllowedPrograms } from './settings.ts';

export interface IsolationOptions extends SandboxOptions {
  readonly allowed: AllowedPrograms;
  readonly sandbox: 'auto' | 'bwrap' | 'off';
  readonly network: boolean;
  readonly passEnv: readonly string[];
  readonly log: Logger;
}

/** Decided once, at the agent's start. */
export interface UnitIsolation {
  readonly rules: ProgramRules;
  /** Null where there is none. */
  readonly sandbox: Sandbox | null;
  /** What the farm is told. */
  readonly report: Isolation;
  /** What follows from it for who may ask: `tool:command`, `sandbox:bwrap`. */
  readonly attributes: readonly string[];
}

/** What the owner allows units' programs. */
export interface ProgramRules {
  readonly allowed: AllowedPrograms;
  readonly network: boolean;
  /** Of the agent's own environment. */
  readonly passed: Readonly<Record<string, string>>;
}

/** As the agent's owner set it up. FurrowError: as openIsolation. */
export function isolationOf(config: AgentConfig, log: Logger): Promise<UnitIsolation> {
  const { allowCommands, sandbox, allowNetwork, allowRead, passEnv } = config;
  return openIsolation({
    allowed: allowCommands,
    sandbox,
    network: allowNetwork,
    readable: allowRead,
    hidden: [config.stateDirectory, config.homeDirectory],
    passEnv,
    log,
  });
}

/** FurrowError: failed-precondition SANDBOX_UNAVAILABLE when units must have one. */
export async function openIsolation(options: IsolationOptions): Promise<UnitIsolation> {
  const { log, network } = options;
  const allowed = foundPrograms(options.allowed, log);
  const opened: OpenedSandbox =
    options.sandbox === 'off'
      ? { state: 'closed', why: 'it was switched off (--sandbox)' }
      : await Sandbox.open(options);
  if (opened.state === 'closed' && options.sandbox === 'bwrap') {
    const remedy = 'install bubblewrap, allow user namespaces, or choose --sandbox auto';
    throw new FurrowError('failed-precondition', 'SANDBOX_UNAVAILABLE', `${opened.why}: ${remedy}`);
  }
  const report: Isolation = {
    level: opened.state === 'open' ? 'bwrap' : 'none',
    detail: detailOf(opened, network),
    allowedCommands: allowed === 'all' ? ['*'] : [...allowed],
    allowsNetwork: network,
  };
  log.info({ isolation: report }, 'what programs of units may do here');
  return {
    rules: { allowed, network, passed: passedFrom(process.env, options.passEnv) },
    sandbox: opened.state === 'open' ? opened.sandbox : null,
    report,
    attributes: [
      ...(report.allowedCommands.length > 0 ? ['tool:command'] : []),
      ...(opened.state === 'open' ? ['sandbox:bwrap'] : []),
    ],
  };
}

function detailOf(opened: OpenedSandbox, network: boolean): string {
  if (opened.state === 'open') {
    const net = network ? 'the network only if their step asks for it' : 'no network';
    return `programs have their own folder, the system read-only, and ${net}`;
  }
  const user = userName();
  return `programs run as ${user} and can read what ${user} can: ${opened.why}`;
}

/** In containers there are users without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.() ?? '?'}`;
  }
}

/** What is not there is not offered: units would only fail. */
function foundPrograms(allowed: AllowedPrograms, log: Logger): AllowedPrograms {
  if (allowed === 'all') return allowed;
  return allowed.filter((program) => {
    try {
      findProgram(program, '/');
      return true;
    } catch {
      log.warn({ program }, 'a program that units may start is not on this machine');
      return false;
    }
  });
}

function passedFrom(
  environment: NodeJS.ProcessEnv,
  names: readonly string[],
): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** By these a program that is allowed becomes any other. */
const CHANGES_PROGRAMS =
  /^(LD_.*|DYLD_.*|PATH|GCONV_PATH|BASH_ENV|ENV|PYTHON(PATH|HOME|STARTUP)|NODE_(OPTIONS|PATH)|PERL5(LIB|OPT)|RUBY(LIB|OPT)|JAVA_TOOL_OPTIONS)$/;

/**
 * Refuses what the owner does not allow. A coordinator knows that too and sends no such unit, unless it is of an
 * older version. FurrowError: failed-precondition COMMAND_NOT_ALLOWED; invalid VARIABLE_NOT_ALLOWED.
 */
export function checkAllowed(
  { allowed }: Pick<ProgramRules, 'allowed'>,
  program: string,
  environment: Readonly<Record<string, string>>,
): void {
  if (allowed === 'all') return;
  if (!allowed.includes(program)) {
    const only = allowed.length === 0 ? 'allows none' : `allows only ${allowed.join(', ')}`;
    const message = `${program} is not run here: this agent's owner ${only} (--allow-commands)`;
    throw new FurrowError('failed-precondition', 'COMMAND_NOT_ALLOWED', message);
  }
  const name = Object.keys(environment).find((one) => CHANGES_PROGRAMS.test(one));
  if (name === undefined) return;
  const message = `its step sets ${name}, which makes another program of ${program}: this agent's owner allows only listed ones (--allow-commands)`;
  throw new FurrowError('invalid', 'VARIABLE_NOT_ALLOWED', message);
}

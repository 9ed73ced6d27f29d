/** Which signal ended a program, whoever ran it. */

/** Shells answer 128 + n for a program that signal n ended. */
const SHELL_CODES: Readonly<Record<number, string>> = {
  132: 'SIGILL',
  135: 'SIGBUS',
  137: 'SIGKILL',
  139: 'SIGSEGV',
};

/** The signal that ended the program, or one that it ran for us; null for none that is known. */
export function signalOf(end: {
  readonly exitCode: number | null;
  readonly signal: string | null;
}): string | null {
  const { exitCode, signal } = end;
  return signal ?? (exitCode === null ? null : (SHELL_CODES[exitCode] ?? null));
}

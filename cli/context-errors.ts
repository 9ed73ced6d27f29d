/** With several farms at hand an error says of which one it speaks. */
import { type ErrorCode, FurrowError } from '../kit/furrow-error.ts';

/** What goes wrong with the farm of a context names the context. */
export async function inContext<Answer>(
  name: string | undefined,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof FurrowError ? ofContext(name, error) : error;
  }
}

/** Codes of what only a farm refuses, or fails to do: other errors may be of this machine's files. */
const OF_FARMS: ReadonlySet<ErrorCode> = new Set([
  'unavailable',
  'timed-out',
  'unauthenticated',
  'forbidden',
  'exhausted',
]);

/** Whatever a command of that context ended with. */
export function nameContext(name: string | undefined, error: unknown): unknown {
  return error instanceof FurrowError && OF_FARMS.has(error.code) ? ofContext(name, error) : error;
}

/** The same error, with the context's name before its message, once. */
export function ofContext(name: string | undefined, error: FurrowError): FurrowError {
  const isOfNone = name === undefined || error.code === 'aborted';
  if (isOfNone || error.message.startsWith(`context ${name}: `)) return error;
  const { code, reason, message, details, cause } = error;
  return new FurrowError(code, reason, `context ${name}: ${message}`, { cause, details });
}

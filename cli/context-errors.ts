/** With several farms at hand an error says of which one it speaks. */
import { FurrowError } from '../kit/furrow-error.ts';

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

/** The same error, with the context's name before its message. */
export function ofContext(name: string | undefined, error: FurrowError): FurrowError {
  if (name === undefined || error.code === 'aborted') return error;
  const { code, reason, message, details, cause } = error;
  return new FurrowError(code, reason, `context ${name}: ${message}`, { cause, details });
}

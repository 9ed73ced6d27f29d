/** Does nothing, inside the agent's process: for measuring the farm itself. */
import type { Runner } from './runner.ts';

export const noopRunner: Runner = {
  kind: 'noop',
  needsDirectory: false,
  run: async () => ({ state: 'succeeded' }),
};

/** How the trial of a capability went. A capability counts when it has worked, not when it is listed. */
import type { ToolAnswer } from './run-tool.ts';

export type Trial =
  | { readonly state: 'works' }
  | { readonly state: 'fails'; readonly reason: string }
  /** Too slow, or busy: says nothing of what was proven before. */
  | { readonly state: 'undecided'; readonly reason: string };

/** `isBusy`: whether its words only mean that others use it now. */
export function trialOf(answer: ToolAnswer, isBusy?: (reason: string) => boolean): Trial {
  switch (answer.state) {
    case 'answered':
      return { state: 'works' };
    case 'timed-out':
      return { state: 'undecided', reason: 'the trial took too long' };
    case 'failed':
      return { state: isBusy?.(answer.reason) ? 'undecided' : 'fails', reason: answer.reason };
  }
}

/** The latest progress of each unit; what is overtaken before it is sent is never sent. */
import type { Progress, UnitProgress } from '../proto/gen/furrow/work/v1/work.ts';
import type { Assignment } from './assignment.ts';
import { tokenKey, type TokenKey } from './token-key.ts';

/** Keeps a message far below NATS's limit of 1 MiB. */
const UNITS_PER_MESSAGE = 1_000;
const NOTE_LIMIT = 200;

export class ProgressFeed {
  readonly #agentId: string;
  #latest = new Map<TokenKey, { readonly jobId: string; readonly progress: UnitProgress }>();

  constructor(agentId: string) {
    this.#agentId = agentId;
  }

  set(assignment: Assignment, fraction: number, counter: number, note: string): void {
    const { jobId, step, unit, attempt, token } = assignment;
    const bounded = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
    this.#latest.set(tokenKey(token), {
      jobId,
      progress: {
        step,
        unit,
        attempt,
        fraction: bounded,
        counter: Math.max(0, Math.floor(counter)),
        note: note.slice(0, NOTE_LIMIT),
      },
    });
  }

  /** Takes out all there is, as messages for one job each. */
  take(): readonly { readonly jobId: string; readonly message: Progress }[] {
    const byJob = new Map<string, UnitProgress[]>();
    for (const { jobId, progress } of this.#latest.values()) {
      const units = byJob.get(jobId);
      if (units === undefined) byJob.set(jobId, [progress]);
      else units.push(progress);
    }
    this.#latest = new Map();
    const messages = [];
    for (const [jobId, units] of byJob) {
      for (let at = 0; at < units.length; at += UNITS_PER_MESSAGE) {
        const message = { agentId: this.#agentId, units: units.slice(at, at + UNITS_PER_MESSAGE) };
        messages.push({ jobId, message });
      }
    }
    return messages;
  }
}

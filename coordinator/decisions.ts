/**
 * What commands become: facts, applied at once and put into the commit that gathers, and what is said and sent
 * once that is on disk.
 */
import { askToProbe } from './domain/agent-trust.ts';
import { apply } from './domain/apply.ts';
import { grantOrders, type RecordedGrant, slotsBooked } from './domain/assignment.ts';
import type { CommitFlow } from './commit-flow.ts';
import type { Answer, Command } from './domain/commands.ts';
import { decide } from './domain/decide.ts';
import type { Decision, Now } from './domain/decision.ts';
import type { Fact, LeasesGranted } from './domain/facts.ts';
import type { Farm } from './domain/farm.ts';
import { followUp, isVoid } from './domain/follow-up.ts';
import { submittedFact } from './domain/decide-job.ts';
import { forgetPauses, observeGrantAnswer } from './domain/grant-pause.ts';
import type { Liveness } from './domain/liveness.ts';
import { observeResults } from './domain/observe-results.ts';
import { place } from './domain/placement.ts';
import type { PlacementScope } from './domain/placement-scope.ts';
import { placeCopies } from './domain/second-copies.ts';
import { type Stall, StallWatch } from './domain/stall-watch.ts';
import type { StepSpec } from './domain/task.ts';
import { track } from './domain/track.ts';
import type { Effects, Journal } from './ports.ts';

export interface DecisionsOptions {
  readonly farm: Farm;
  readonly liveness: Liveness;
  readonly journal: Pick<Journal, 'measure' | 'maxCommitBytes'>;
  readonly effects: Pick<Effects, 'grant' | 'stop' | 'retract' | 'stalled'>;
  readonly commits: CommitFlow;
  readonly scope: PlacementScope;
  readonly now: () => Now;
}

export class Decisions {
  readonly #options: DecisionsOptions;
  readonly #stallWatch = new StallWatch();

  constructor(options: DecisionsOptions) {
    this.#options = options;
  }

  /** While the farm stands still. */
  get stall(): Stall | undefined {
    return this.#stallWatch.stall;
  }

  /** Decides it. `settle` is called when its answer may be said. */
  take(command: Command, settle: (answer: Answer) => void): void {
    const { farm, liveness, journal } = this.#options;
    const now = this.#options.now();
    if (command.type === 'GrantAnswered') {
      observeGrantAnswer(liveness, command, now.monotonicMs);
      this.#options.scope.markAgent(command.agentId);
    }
    if (command.type === 'Tick') this.#options.scope.markTick(liveness, now.monotonicMs);
    if (command.type === 'ReportResults') observeResults(liveness, farm, command);
    const decision = decide(farm, liveness, command, now);
    const most = journal.maxCommitBytes / 2;
    const bytes = this.#factsOf(command, decision, now).reduce((sum, fact) => {
      return sum + journal.measure(fact);
    }, 0);
    if (bytes > most) {
      settle(tooLarge(command, bytes, most));
      return;
    }
    for (const fact of decision.facts) if (!isVoid(farm, fact)) this.#record(fact, now);
    if (command.type === 'Tick') this.#watchForStall(now);
    this.#release(decision, settle);
  }

  /** With those that a job would become that is only validated: files are uploaded after that. */
  #factsOf(command: Command, decision: Decision, now: Now): readonly Fact[] {
    const isValidated = command.type === 'SubmitJob' && command.validateOnly === true;
    if (!isValidated || decision.answer.kind === 'refused') return decision.facts;
    return [submittedFact(this.#options.farm, command, now)];
  }

  /** What is offered again is placed in the same turn. */
  #watchForStall(now: Now): void {
    const { farm, liveness, effects } = this.#options;
    for (const step of this.#stallWatch.look(farm, liveness, now)) {
      if (step.state === 'offer-again') {
        forgetPauses(liveness);
        this.#options.scope.markAll();
      }
      if (step.state === 'ask-agents') {
        for (const agentId of step.stall.agentIds) {
          const agent = liveness.agents.get(agentId);
          if (agent !== undefined) askToProbe(agent.trust);
        }
      }
      effects.stalled(step);
    }
  }

  #release(decision: Decision, settle: (answer: Answer) => void): void {
    const { effects } = this.#options;
    if (decision.stops.length > 0) {
      this.#options.commits.whenAllowed(decision.barrier, () => {
        for (const order of decision.stops) effects.stop(order);
      });
    }
    if (decision.retracts.length > 0) {
      this.#options.commits.whenAllowed('decided', () => {
        for (const order of decision.retracts) effects.retract(order);
      });
    }
    this.#options.commits.whenAllowed(decision.barrier, () => settle(decision.answer));
  }

  /** Applies a decided fact and all that follows from it. */
  #record(fact: Fact, now: Now): void {
    const { farm, liveness } = this.#options;
    let next: Fact | undefined = fact;
    while (next !== undefined) {
      track(liveness, farm, next, now.monotonicMs);
      this.#options.scope.note(farm, next);
      this.#stallWatch.note(next);
      this.#options.commits.add(next);
      apply(farm, next);
      if (!('job' in next)) return;
      next = followUp(farm, next.job, now.wallMs, next);
    }
  }

  /** Grants what is ready and fits. */
  place(): void {
    const { farm, liveness } = this.#options;
    const now = this.#options.now();
    const look = this.#options.scope.look(farm, liveness, now);
    if (look !== undefined) {
      const { grants, ...end } = place(farm, liveness, now, look);
      this.#grant(grants, now);
      this.#options.scope.done(farm, end);
    }
    if (liveness.stragglers.size === 0) return;
    const seats = this.#options.scope.seats(farm, liveness, now);
    this.#grant(placeCopies(farm, liveness, now, seats), now);
  }

  #grant(grants: readonly LeasesGranted[], now: Now): void {
    const { farm, liveness } = this.#options;
    const recorded: RecordedGrant[] = grants.map((fact) => {
      const agent = liveness.agents.get(fact.agentId);
      if (agent !== undefined) agent.lastGrantNumber = fact.grantNumber;
      this.#record(fact, now);
      return { fact, slots: slotsBooked(farm, fact) };
    });
    if (recorded.length === 0) return;
    this.#options.commits.whenAllowed('decided', () => this.#sendGrants(recorded));
  }

  #sendGrants(grants: readonly RecordedGrant[]): void {
    for (const order of grantOrders(this.#options.farm, grants)) this.#options.effects.grant(order);
  }
}

function tooLarge(command: Command, bytes: number, most: number): Answer {
  const films = command.type === 'SubmitJob' ? filmsOf(command.steps) : 0;
  // Films are not of one size in the journal, nor does all of it grow with them.
  const fitting = Math.floor((films * most * 0.95) / bytes);
  const remedy =
    films === 0 ? 'split it' : `about ${fitting} of the ${films} films fit: submit several jobs`;
  return {
    kind: 'refused',
    code: 'invalid',
    reason: 'JOB_TOO_LARGE',
    message: `the request takes ${bytes} bytes in the journal; the most is ${most}: ${remedy}`,
  };
}

/** In the table of a folder's job; 0 of any other. */
function filmsOf(steps: readonly StepSpec[]): number {
  const task = steps.at(-1)?.task?.kind;
  return task?.$case === 'tabulate' ? task.value.films.length : 0;
}

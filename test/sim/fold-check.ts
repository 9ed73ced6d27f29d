/**
 * Every fold of the journal is the same farm, byte for byte. After each commit what the commits since
 * then have touched is compared; now and then, and at the first time, all of it.
 */
import { farmImage } from '../../coordinator/domain/farm-image.ts';
import type { AgentRecord, Farm } from '../../coordinator/domain/farm.ts';
import type { CommitRecord } from '../../coordinator/ports.ts';
import { Violation } from './violation.ts';

/** What one comparison in so many looks at everything. */
const WHOLE_EVERY = 32;

interface Touched {
  readonly jobs: ReadonlySet<number>;
  readonly agents: ReadonlySet<string>;
}

export class FoldCheck {
  readonly #stored: Farm;
  #sequence = 0;
  /** By sequence of the commit. */
  readonly #touched: Touched[] = [];
  /** By farm: the sequence of its last comparison, and how many there were. */
  readonly #compared = new WeakMap<Farm, { readonly sequence: number; readonly times: number }>();

  /** `stored`: the fold of what is stored, kept by the witness. */
  constructor(stored: Farm) {
    this.#stored = stored;
  }

  onStored({ sequence, facts }: CommitRecord): void {
    this.#sequence = sequence;
    const jobs = new Set<number>();
    const agents = new Set<string>();
    for (const fact of facts) {
      if ('job' in fact) {
        jobs.add(fact.job);
        for (const agentId of this.#holders(fact.job)) agents.add(agentId);
      }
      if ('agentId' in fact) agents.add(fact.agentId);
    }
    this.#touched[sequence] = { jobs, agents };
  }

  /** Who holds leases of a job: they lose them when it is cancelled. */
  #holders(job: number): string[] {
    const leases = [...this.#stored.leases.values()];
    return leases.filter((lease) => lease.job === job).map(({ agentId }) => agentId);
  }

  /** False when the farm is not at the stored sequence: there is nothing to compare it with. */
  check(farm: Farm, sequence: number): boolean {
    if (sequence !== this.#sequence) return false;
    const before = this.#compared.get(farm) ?? { sequence: 0, times: 0 };
    this.#compared.set(farm, { sequence, times: before.times + 1 });
    const isWhole = before.times % WHOLE_EVERY === 0;
    const since = isWhole ? undefined : this.#touchedSince(before.sequence);
    const [live, stored] = [imageOf(farm, since), imageOf(this.#stored, since)];
    if (live !== stored) throw difference(live, stored);
    return true;
  }

  #touchedSince(sequence: number): Touched {
    const commits = this.#touched.slice(sequence + 1);
    return {
      jobs: new Set(commits.flatMap(({ jobs }) => [...jobs])),
      agents: new Set(commits.flatMap(({ agents }) => [...agents])),
    };
  }
}

/** All of it but the jobs and agents that nothing has touched. */
function imageOf(farm: Farm, touched: Touched | undefined): string {
  if (touched === undefined) return farmImage(farm);
  const jobs = new Map(
    [...touched.jobs].flatMap((number) => {
      const job = farm.jobs.get(number);
      return job === undefined ? [] : [[number, job] as const];
    }),
  );
  const agentByNumber: AgentRecord[] = [...touched.agents].flatMap(
    (id) => farm.agents.get(id) ?? [],
  );
  return farmImage({ ...farm, jobs, agentByNumber, jobByClientId: new Map() });
}

function difference(live: string, stored: string): Violation {
  let at = 0;
  while (live[at] === stored[at]) at += 1;
  const from = Math.max(0, at - 80);
  const message = `live …${live.slice(from, at + 80)} and stored …${stored.slice(from, at + 80)}`;
  return new Violation('fold-differs', message);
}

/**
 * Which blobs somebody may read and write, where a role is not all that counts: agents what their leases name,
 * owners what their jobs do. Whoever asks for another blob hears the same as for one that is not there.
 */
import { leaseInputs } from './domain/assignment.ts';
import { fileListOf } from './domain/file-lists.ts';
import type { LeaseRecord } from './domain/farm.ts';
import { type Farm, jobNumberOf } from './domain/farm.ts';
import type { JobView } from './domain/views.ts';
import { FurrowError } from '../kit/furrow-error.ts';
import type { Principal } from './access.ts';
import type { FileLists } from './file-lists.ts';

export interface BlobAccessOptions {
  readonly farm: Farm;
  readonly lists: Pick<FileLists, 'partOf'>;
  /** As clients are shown it. */
  readonly job: (number: number) => Promise<JobView | undefined>;
  readonly monotonicMs: () => number;
}

/** As long as the store pins them. */
const LIST_KEPT_MS = 60 * 60 * 1000;

export class BlobAccess {
  readonly #options: BlobAccessOptions;
  /** Lists of inputs that were sent as blobs: by hash, to whom and when last. */
  readonly #lists = new Map<string, Map<string, number>>();

  constructor(options: BlobAccessOptions) {
    this.#options = options;
  }

  /** A grant to this agent names a blob that no unit does. */
  noteList(sha256: string, agentId: string): void {
    const nowMs = this.#options.monotonicMs();
    for (const [hash, readers] of this.#lists) {
      if ([...readers.values()].every((atMs) => atMs + LIST_KEPT_MS < nowMs)) {
        this.#lists.delete(hash);
      }
    }
    const readers = this.#lists.get(sha256) ?? new Map<string, number>();
    this.#lists.set(sha256, readers.set(agentId, nowMs));
  }

  /**
   * `jobId`: the job in whose name it is asked for. FurrowError: not-found BLOB_NOT_FOUND; what the store says
   * where a list of files must be read for it.
   */
  async mustRead(principal: Principal, sha256: string, jobId: string | undefined): Promise<void> {
    const { caller, owner, agentId } = principal;
    const may =
      caller === 'agent-key'
        ? this.#isNamedTo(agentId, sha256) || (await this.#isInListFor(agentId, sha256))
        : owner === '' || (await this.#isOf(owner, jobId, sha256));
    if (may) return;
    const hint = owner === '' ? '' : ' (an owner reads blobs of jobs: name the job)';
    throw new FurrowError('not-found', 'BLOB_NOT_FOUND', `blob ${sha256} is not here${hint}`);
  }

  /** FurrowError: forbidden NO_LEASE. */
  mustWrite({ caller, agentId }: Principal): void {
    if (caller !== 'agent-key' || this.#leasesOf(agentId).next().done === false) return;
    const message = `agent ${agentId} holds no lease, and so has nothing to hand in`;
    throw new FurrowError('forbidden', 'NO_LEASE', message);
  }

  #isNamedTo(agentId: string, sha256: string): boolean {
    if (this.#lists.get(sha256)?.has(agentId) === true) return true;
    for (const lease of this.#leasesOf(agentId)) {
      if (leaseInputs(this.#options.farm, lease).has(sha256)) return true;
    }
    return false;
  }

  /** Whether it is of the part of a list that a unit takes which the agent holds. */
  async #isInListFor(agentId: string, sha256: string): Promise<boolean> {
    const { farm, lists } = this.#options;
    for (const lease of this.#leasesOf(agentId)) {
      const spec = farm.jobs.get(lease.job)?.steps[lease.step]?.spec;
      const space = spec && fileListOf(spec);
      if (space?.list === undefined) continue;
      if ((await lists.partOf(space.list, space, lease.unit)).has(sha256)) return true;
    }
    return false;
  }

  /** Those that lapsed, too: their results may still count. */
  *#leasesOf(agentId: string): Generator<LeaseRecord> {
    const { farm } = this.#options;
    for (const token of farm.agents.get(agentId)?.leases ?? []) {
      const lease = farm.leases.get(token);
      if (lease !== undefined) yield lease;
    }
    for (const lease of farm.lapsed.values()) if (lease.agentId === agentId) yield lease;
  }

  async #isOf(owner: string, jobId: string | undefined, sha256: string): Promise<boolean> {
    const number = jobNumberOf(jobId ?? '');
    if (number === undefined) return false;
    const view = await this.#options.job(number);
    return view?.owner === owner && view.outputs.some((file) => file.sha256 === sha256);
  }
}

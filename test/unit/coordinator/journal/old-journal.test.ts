/** The journal and the snapshot of a farm of 0.1.0, read by this version. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { apply } from '../../../../coordinator/domain/apply.ts';
import { checkFarm } from '../../../../coordinator/domain/check-farm.ts';
import { farmImage } from '../../../../coordinator/domain/farm-image.ts';
import { emptyFarm, type Farm } from '../../../../coordinator/domain/farm.ts';
import { captureFarm, restoreFarm } from '../../../../coordinator/domain/farm-snapshot.ts';
import { EMPTY_TAIL, follow, type Tail } from '../../../../coordinator/journal/chain.ts';
import { decodeCommit } from '../../../../coordinator/journal/commit-codec.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../../coordinator/journal/snapshot-codec.ts';
import { OLD_FARM, oldJournal } from '../../../support/old-farm.ts';

/** Folds the journal from its beginning, or from a farm and its tail. */
function replay(upTo: number, farm = emptyFarm(), from: Tail = EMPTY_TAIL): [Farm, Tail] {
  let tail = from;
  for (const [i, message] of oldJournal().entries()) {
    const sequence = i + 1;
    if (sequence <= from.sequence || sequence > upTo) continue;
    const commit = decodeCommit(message, sequence);
    tail = follow(tail, commit);
    for (const fact of commit.facts) apply(farm, fact);
    expect(checkFarm(farm)).toEqual([]);
  }
  return [farm, tail];
}

/** Snapshots of 0.1.0 do not tell who led; its journals do. */
function withoutReigns(farm: Farm): unknown {
  return { ...(JSON.parse(farmImage(farm)) as object), reigns: undefined };
}

const END = OLD_FARM.identity.sequence;

describe('a journal of 0.1.0', () => {
  test('replays whole, into a farm in which everything is where it was', () => {
    const [farm, tail] = replay(END);
    expect(tail).toMatchObject({ sequence: END, hash: OLD_FARM.identity.hash });
    expect(farm.farmId).toBe(OLD_FARM.identity.farmId);
    expect([...farm.agents.values()]).toMatchObject([
      { id: OLD_FARM.agent.id, name: 'box', version: '0.1.0', draining: false },
    ]);
    const jobs = [...farm.jobs.values()].map(({ name, paused, end }) => [
      name,
      end?.state ?? (paused ? 'paused' : 'open'),
    ]);
    expect(jobs).toEqual([
      ['echo', 'succeeded'],
      ['fan', 'succeeded'],
      ['false', 'failed'],
      ['gone', 'cancelled'],
      ['later', 'paused'],
      ['long', 'open'],
      ['short', 'open'],
    ]);
    const leases = [...farm.leases.values()].map(({ job, unit, attempt, agentId }) => [
      job,
      unit,
      attempt,
      agentId,
    ]);
    expect(leases).toEqual([
      [6, 0, 2, OLD_FARM.agent.id],
      [7, 0, 1, OLD_FARM.agent.id],
    ]);
  });

  test('becomes a snapshot of this version, and comes back from it', () => {
    const [farm, tail] = replay(END);
    const again = decodeSnapshot(encodeSnapshot({ farm: captureFarm(farm), tail }));
    expect(farmImage(restoreFarm(again.farm))).toBe(farmImage(farm));
  });
});

describe('a snapshot of 0.1.0', () => {
  const [stored] = OLD_FARM.snapshots;
  const bytes = Buffer.from(stored!.data, 'base64');

  test('is vouched for by its journal', () => {
    const [{ snapshots }] = replay(END);
    const hash = createHash('sha256').update(bytes).digest('hex');
    expect(snapshots).toMatchObject([{ hash, sizeBytes: bytes.byteLength }]);
  });

  test('is the farm that the journal gives up to there, and goes on with it', () => {
    const { farm, tail } = decodeSnapshot(bytes);
    const [folded, foldedTail] = replay(tail.sequence);
    expect(tail).toEqual({ ...foldedTail, reignId: tail.reignId });
    const restored = restoreFarm(farm);
    expect(checkFarm(restored)).toEqual([]);
    expect(withoutReigns(restored)).toEqual(withoutReigns(folded));
    const [atEnd] = replay(END, restored, tail);
    const [whole] = replay(END);
    expect(withoutReigns(atEnd)).toEqual(withoutReigns(whole));
  });
});

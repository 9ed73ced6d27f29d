import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Archive,
  clientIdHash,
  jobsOf,
  newestArchived,
  rangesOf,
  segmentOf,
  segmentsThatMayHold,
  withoutJob,
  withSegment,
} from '../../../../coordinator/domain/archive.ts';

const PART = { hash: '', sizeBytes: 0 };

function archiveOf(...segments: readonly (readonly number[])[]): Archive {
  return segments.reduce<Archive>((archive, jobs, index) => {
    const clientIdHashes = jobs.map((job) => clientIdHash(`client-${job}`));
    return withSegment(archive, {
      name: `1-${index}`,
      ranges: rangesOf(jobs),
      index: PART,
      images: PART,
      clientIdHashes: clientIdHashes.toSorted((a, b) => a - b),
    });
  }, []);
}

const numbers = fc
  .uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 })
  .map((jobs) => jobs.toSorted((a, b) => a - b));

describe('the archive', () => {
  test('finds each job in its segment, and no other', () => {
    fc.assert(
      fc.property(numbers, (jobs) => {
        const archive = archiveOf(
          jobs.filter((job) => job % 3 > 0),
          jobs.filter((job) => job % 3 === 0),
        );
        for (let job = 0; job <= 61; job += 1) {
          const expected = jobs.includes(job) ? `1-${job % 3 === 0 ? 1 : 0}` : undefined;
          expect(segmentOf(archive, job)?.name).toBe(expected);
        }
        expect([...jobsOf({ ranges: rangesOf(jobs), removed: [] })]).toEqual(jobs.toReversed());
      }),
    );
  });

  test('lists from all segments, newest first, page by page', () => {
    fc.assert(
      fc.property(
        numbers,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 5 }),
        (jobs, limit, parts) => {
          const split = Array.from({ length: parts }, (_, part) =>
            jobs.filter((job) => job % parts === part),
          );
          const archive = archiveOf(...split.filter((part) => part.length > 0));
          const listed: number[] = [];
          for (let before = Infinity; ;) {
            const page = newestArchived(archive, before, limit);
            if (page.length === 0) break;
            listed.push(...page);
            before = page.at(-1) ?? 0;
          }
          expect(listed).toEqual(jobs.toReversed());
        },
      ),
    );
  });

  test('forgets a removed job, and a segment with its last one', () => {
    const archive = withoutJob(archiveOf([1, 2, 3], [4]), 2);
    expect(segmentOf(archive, 2)).toBeUndefined();
    expect(newestArchived(archive, Infinity, 9)).toEqual([4, 3, 1]);
    expect([1, 3].reduce(withoutJob, archive).map(({ name }) => name)).toEqual(['1-1']);
    expect(withoutJob(archive, 9)).toEqual(archive);
  });

  test('names the segments that may hold a client id: always the right one, seldom another', () => {
    const all = Array.from({ length: 20 }, (_, part) =>
      Array.from({ length: 500 }, (_unused, at) => part * 500 + at + 1),
    );
    const archive = archiveOf(...all);
    let others = 0;
    for (let job = 1; job <= 10_000; job += 1) {
      const names = segmentsThatMayHold(archive, `client-${job}`).map(({ name }) => name);
      expect(names).toContain(`1-${Math.floor((job - 1) / 500)}`);
      others += names.length - 1;
    }
    expect(others).toBeLessThan(10);
    const strangers = all
      .flat()
      .filter((job) => segmentsThatMayHold(archive, `other-${job}`).length > 0);
    expect(strangers.length).toBeLessThan(10);
  });
});

/** What leaves a coordinator's memory lies whole, and as it was, on the disk of nats-server by then. */
import { imageOfJob } from '../../coordinator/domain/farm-image.ts';
import { jobFrom } from '../../coordinator/domain/farm-snapshot.ts';
import type { JobsArchived } from '../../coordinator/domain/facts.ts';
import type { Farm, Job } from '../../coordinator/domain/farm.ts';
import type { JobView } from '../../coordinator/domain/views.ts';
import { decodeImage, decodeIndex } from '../../coordinator/journal/archive-codec.ts';
import { hashOfBytes } from '../../coordinator/journal/chunked-objects.ts';
import type { ArchivePart } from '../../coordinator/ports.ts';
import { Violation } from './violation.ts';

/** What the disk of nats-server holds of a part now. */
export type ReadArchive = (segment: string, part: ArchivePart) => Uint8Array;

const PARTS = ['index', 'images'] as const;

/** The jobs of a segment, right before they leave the farm that is the fold of what is stored. */
export function archivedJobs(
  stored: Farm,
  segment: JobsArchived['segment'],
  read: ReadArchive,
): JobView[] {
  for (const part of PARTS) {
    if (hashOfBytes(read(segment.name, part)) === segment[part].hash) continue;
    throw new Violation('archived-unstored', `${part} of segment ${segment.name}`);
  }
  const images = read(segment.name, 'images');
  return decodeIndex(read(segment.name, 'index')).map((indexed) => {
    const { number } = indexed.view;
    const job = stored.jobs.get(number);
    const archived = jobFrom(stored, decodeImage(images, indexed));
    if (job === undefined || textOf(job) !== textOf(archived)) {
      throw new Violation('archived-unstored', `j${number} is another in ${segment.name}`);
    }
    return indexed.view;
  });
}

function textOf(job: Job): string {
  return JSON.stringify(imageOfJob(job));
}

/** The archive's segments in JetStream, where every coordinator of the farm reads them. */
import type { NatsConnection } from 'nats';
import { ARCHIVE_STREAM, ARCHIVE_SUBJECTS, archiveSubject } from '../../proto/subjects.ts';
import type { StoredPart } from '../domain/archive.ts';
import type { ArchivePart, ArchiveStore } from '../ports.ts';
import { ChunkedObjects, hashOfBytes } from './chunked-objects.ts';

const PARTS: readonly ArchivePart[] = ['index', 'images'];

export class JetStreamArchive implements ArchiveStore {
  readonly #objects: ChunkedObjects;

  private constructor(objects: ChunkedObjects) {
    this.#objects = objects;
  }

  static async open(nats: NatsConnection, replicas: number): Promise<JetStreamArchive> {
    const stream = { name: ARCHIVE_STREAM, subjects: ARCHIVE_SUBJECTS, replicas };
    return new JetStreamArchive(await ChunkedObjects.open(nats, stream));
  }

  async save(segment: string, part: ArchivePart, bytes: Uint8Array): Promise<StoredPart> {
    await this.#objects.save(archiveSubject(segment, part), bytes);
    return { hash: hashOfBytes(bytes), sizeBytes: bytes.byteLength };
  }

  load(segment: string, part: ArchivePart): Promise<Uint8Array> {
    return this.#objects.load(archiveSubject(segment, part));
  }

  async drop(segment: string): Promise<void> {
    for (const part of PARTS) await this.#objects.drop(archiveSubject(segment, part));
  }

  async segments(): Promise<string[]> {
    const subjects = await this.#objects.subjects();
    return [...new Set(subjects.map((subject) => subject.split('.').at(-2) ?? ''))];
  }
}

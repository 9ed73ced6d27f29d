import { FurrowError } from '../../kit/furrow-error.ts';

/** Lets no more than the promised length through, so that a liar cannot fill the disk. */
export async function* upTo(
  sizeBytes: number,
  source: AsyncIterable<Buffer>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > sizeBytes) {
      const message = `the upload is longer than the ${sizeBytes} bytes it promised`;
      throw new FurrowError('invalid', 'SIZE_MISMATCH', message);
    }
    onBytes(chunk.length);
    yield chunk;
  }
}

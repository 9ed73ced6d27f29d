/**
 * What node:http does by itself: writes a PUT to a file and flushes it, sends a file on GET. No
 * checksum, no token. Prints its port.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { IO_CHUNK_BYTES } from '../../kit/sha256-file.ts';

const [path = ''] = process.argv.slice(2);

const server = createServer((request, response) => {
  const serve = async (): Promise<void> => {
    if (request.method === 'PUT') {
      await pipeline(request, createWriteStream(path, { flush: true }));
      response.end();
      return;
    }
    response.setHeader('content-length', (await stat(path)).size);
    await pipeline(createReadStream(path, { highWaterMark: IO_CHUNK_BYTES }), response);
  };
  serve().catch((error: unknown) => response.destroy(error as Error));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(typeof address === 'object' ? address?.port : address);
});

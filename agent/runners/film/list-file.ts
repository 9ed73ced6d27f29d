/** Lists that ffmpeg writes into the unit's directory, a line for each packet or frame. */
import { createReadStream } from 'node:fs';
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Hands over each line and deletes the list; there is none when ffmpeg did not get so far. */
export async function takeLines(
  directory: string,
  name: string,
  take: (line: string) => void,
): Promise<void> {
  const path = join(directory, name);
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return;
  for await (const line of createInterface({ input: createReadStream(path) })) take(line);
  await rm(path);
}

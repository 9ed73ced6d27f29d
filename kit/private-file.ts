/** Files that only their owner may read, replaced in one step: a crash leaves the old one or the new one. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces the file, synced to disk; its folder is made when it is missing. */
export async function writePrivateFile(path: string, content: string): Promise<void> {
  await withDraft(path, content, (draft) => rename(draft, path));
}

/** Makes the file unless it is there: of two processes that start together one wins, and false says who lost. */
export async function makePrivateFile(path: string, content: string): Promise<boolean> {
  let isOurs = true;
  await withDraft(path, content, (draft) =>
    // A link never replaces a file.
    link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      isOurs = false;
    }),
  );
  return isOurs;
}

async function withDraft(
  path: string,
  content: string,
  place: (draft: string) => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    const file = await open(draft, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(draft);
  } finally {
    await rm(draft, { force: true });
  }
}

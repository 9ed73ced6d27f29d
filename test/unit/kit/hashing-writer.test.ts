import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { HashingWriter } from '../../../kit/hashing-writer.ts';

const MIB = 1024 * 1024;

async function openFile(): Promise<{ path: string; handle: FileHandle }> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-writer-'));
  const path = join(folder, 'file');
  const handle = await open(path, 'w+');
  onTestFinished(async () => {
    await handle.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { path, handle };
}

const chunks = (count: number) =>
  Array.from({ length: count }, (_, at) => Buffer.alloc(MIB, at + 1));

describe('a hashing writer', () => {
  it('writes and hashes the same bytes, and has the disk flush on the way', async () => {
    const { path, handle } = await openFile();
    const datasync = vi.spyOn(handle, 'datasync');
    const hash = createHash('sha256');
    const writer = new HashingWriter(handle, hash, 0);
    await pipeline(chunks(20), writer);
    const wanted = Buffer.concat(chunks(20));
    expect(writer.positionBytes).toBe(wanted.length);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(wanted).digest('hex'));
    expect((await readFile(path)).equals(wanted)).toBe(true);
    expect(datasync).toHaveBeenCalled();
  });

  it('leaves the disk alone where the file need not outlive a power loss', async () => {
    const { handle } = await openFile();
    const datasync = vi.spyOn(handle, 'datasync');
    await pipeline(chunks(20), new HashingWriter(handle, createHash('sha256'), 0, false));
    expect(datasync).not.toHaveBeenCalled();
  });

  it('ends only when the flush under way has ended', async () => {
    const { handle } = await openFile();
    let flushed = () => {};
    vi.spyOn(handle, 'datasync').mockImplementation(
      () => new Promise((resolve) => (flushed = resolve)),
    );
    const writer = new HashingWriter(handle, createHash('sha256'), 0);
    let isDone = false;
    const writing = pipeline(chunks(9), writer).then(() => (isDone = true));
    await expect.poll(() => writer.positionBytes).toBe(9 * MIB);
    expect(isDone).toBe(false);
    flushed();
    await writing;
  });

  it('keeps nothing in the file that a failed flush may have lost', async () => {
    const { handle } = await openFile();
    const lost = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
    vi.spyOn(handle, 'datasync').mockResolvedValueOnce(undefined).mockRejectedValueOnce(lost);
    const writer = new HashingWriter(handle, createHash('sha256'), 0);
    await expect(pipeline(chunks(40), writer)).rejects.toBe(lost);
    const { size } = await handle.stat();
    expect(size).toBeGreaterThanOrEqual(8 * MIB);
    expect(size).toBeLessThan(16 * MIB);
  });
});

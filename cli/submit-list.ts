/** Submits work on many files of this machine, which go to the farm before it, and then their list. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lineOf } from '../kit/file-list.ts';
import type { SubmitJobRequest } from '../proto/gen/furrow/v1/job_service.ts';
import type { PictureList } from '../proto/gen/furrow/v1/recipe_infer.ts';
import type { File } from '../proto/gen/furrow/v1/step.ts';
import type { CommandContext, CommandResult } from './command.ts';
import type { LocalFile } from './local-files.ts';
import { submitJob, validated } from './submit-job.ts';
import type { SubmitOptions } from './submit-options.ts';
import { uploadFiles } from './upload-files.ts';

const LIST_NAME = 'files.list';

/** As `submitWithFiles`. */
export async function submitWithList(
  locals: readonly LocalFile[],
  workOf: (list: PictureList) => SubmitJobRequest['work'],
  defaultName: string,
  options: SubmitOptions,
  context: CommandContext,
): Promise<CommandResult> {
  const count = locals.length;
  const filesBytes = locals.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const unsent = { name: LIST_NAME, sizeBytes: 0, sha256: '' };
  const work = workOf({ list: unsent, count, filesBytes });
  const plan = await validated(work, defaultName, options, context);
  if (options.dryRun === true) return { report: plan() };
  const files = await uploadFiles(locals, context);
  const list = await uploadList(files, context);
  // What was read: a file may have changed since it was looked at.
  const readBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return submitJob(workOf({ list, count, filesBytes: readBytes }), defaultName, options, context);
}

async function uploadList(files: readonly File[], context: CommandContext): Promise<File> {
  const folder = await mkdtemp(join(tmpdir(), 'furrow-list-'));
  try {
    const path = join(folder, LIST_NAME);
    const text = files.map(lineOf).join('');
    await writeFile(path, text);
    const local = { path, name: LIST_NAME, sizeBytes: Buffer.byteLength(text) };
    const [list] = await uploadFiles([local], context);
    if (list === undefined) throw new TypeError('the list was sent and is not known');
    return list;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

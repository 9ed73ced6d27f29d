/** Films of a folder as a studio has them: thousands, in folders, each of another size and content. */
import { createHash } from 'node:crypto';
import {
  type FolderFilm,
  folderSteps,
  type FolderRequest,
} from '../../coordinator/recipes/folder.ts';
import type { StepSpec } from '../../coordinator/domain/task.ts';

const MIB = 1024 ** 2;

export function folderFilms(count: number): FolderFilm[] {
  return Array.from({ length: count }, (_, index) => {
    const sha256 = createHash('sha256').update(`film ${index}`).digest('hex');
    const name = `2026-${String((index % 12) + 1).padStart(2, '0')}/shoot ${index % 37}/C${String((index * 7919) % 10_000).padStart(4, '0')}_take${index}`;
    const sizeBytes = MIB + (Number.parseInt(sha256.slice(0, 8), 16) % (5_000 * MIB));
    return { source: { name: `${name}.mov`, sha256, sizeBytes }, film: `${name}.mp4` };
  });
}

export function stepsOfFolder(
  films: FolderRequest['films'],
  request: Partial<FolderRequest> = {},
): readonly StepSpec[] {
  const plan = folderSteps({ films, pieceMs: 0, ...request });
  if (plan.state !== 'ok') throw new Error(plan.message);
  return plan.steps;
}

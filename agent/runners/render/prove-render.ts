/**
 * Proves what a render job hands over: every frame that was asked for, once, of one size; and the film as it was
 * sealed, with as many frames and as long. Writes `proof.json`; the first finding ends the unit as `bad-output`.
 */
import type { ProveRenderTask } from '../../../proto/gen/furrow/v1/task_render.ts';
import type { Check, ProvenFile } from '../../../kit/proof-report.ts';
import { FilmFault } from '../film/film-fault.ts';
import { filmRunner, type FilmAttempt } from '../film/film-runner.ts';
import { pictureStream, probeMedia } from '../film/source-facts.ts';
import { firstFinding, provenFile, writeProof } from '../proof-report.ts';
import { readFilmSeal } from './film-seal.ts';
import { lookAtFrames } from './frame-files.ts';
import { readScene, type SceneFacts } from './scene-facts.ts';

export const proveRenderRunner = filmRunner('proveRender', prove);

async function prove(attempt: FilmAttempt<ProveRenderTask>): Promise<void> {
  const { work, task, context, media } = attempt;
  const scene = await readScene(work.directory);
  const size = scene.hasBorder ? undefined : scene;
  const frames = await lookAtFrames(media, { frames: scene.frames, format: scene.format, size });
  const files: ProvenFile[] = [];
  for (const [i, { name }] of frames.entries()) {
    files.push(await provenFile(work.directory, name));
    context.progress(i / frames.length, i + 1, `${i + 1} frames`);
  }
  const { width, height } = frames[0]!;
  const checks: Check[] = [
    { check: 'frames', expected: scene.frames.length, found: frames.length },
    {
      check: 'frame size',
      expected: size === undefined ? 'alike' : `${size.width}x${size.height}`,
      found: `${width}x${height}`,
    },
  ];
  if (task.film !== '') {
    const film = await provenFile(work.directory, task.film);
    files.unshift(film);
    checks.push(...(await filmChecks(attempt, scene, film)));
  }
  const { name, engine } = scene;
  await writeProof(work.directory, { files, checks, facts: { scene: name, engine } });
  const finding = firstFinding(checks);
  if (finding !== undefined) throw new FilmFault('bad-output', finding);
  context.progress(1, frames.length + 1, `${checks.length} checks`);
}

async function filmChecks(
  { work, task, media }: FilmAttempt<ProveRenderTask>,
  scene: SceneFacts,
  { sha256 }: ProvenFile,
): Promise<Check[]> {
  const { film } = task;
  const seal = await readFilmSeal(work.directory);
  const facts = await probeMedia(media, film);
  const picture = pictureStream(facts);
  if (picture === undefined) throw new FilmFault('bad-output', `${film} has no video`);
  const [frames, seconds] = seal.frameRate.split('/').map(Number) as [number, number];
  const expected = (scene.frames.length * seconds) / frames;
  const found = Number(facts.format.duration ?? NaN);
  return [
    {
      check: 'film as sealed',
      expected: seal.sha256,
      found: sha256,
      finding: sha256 === seal.sha256 ? undefined : `${film} is not what was made`,
    },
    {
      check: 'frames of the film',
      expected: scene.frames.length,
      found: seal.frames,
      finding: seal.frames === scene.frames.length ? undefined : `${film} lacks frames`,
    },
    {
      check: 'duration in seconds',
      expected: Number(expected.toFixed(3)),
      found: Number(found.toFixed(3)),
      // Containers that count in milliseconds round.
      finding:
        Math.abs(found - expected) <= Math.max(0.002, seconds / frames / 2)
          ? undefined
          : `${film} is ${found} s long, not ${expected}`,
    },
    {
      check: 'worst difference to a frame in grey levels',
      expected: 'its own frame',
      found: Number(seal.worstDifference.toFixed(2)),
    },
  ];
}

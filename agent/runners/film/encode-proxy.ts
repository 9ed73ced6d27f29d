/** Encodes one piece of a film into a chunk of its proxy, and vouches for it as for every chunk. */
import { filmRunner } from './film-runner.ts';
import { makeChunk, planAndPiece } from './encode.ts';
import { bookedThreads } from './media-process.ts';
import { proxySettings } from './proxy-coding.ts';

export const encodeProxyRunner = filmRunner('encodeProxy', async (attempt) => {
  const { work, task } = attempt;
  const { plan, piece } = await planAndPiece(work);
  const making = proxySettings(task.format, task.longestSide, plan.source, bookedThreads(work));
  await makeChunk(attempt, plan, piece, making);
});

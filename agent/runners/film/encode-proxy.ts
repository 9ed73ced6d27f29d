/** Encodes one piece of a film into a chunk of its proxy, and vouches for it as for every chunk. */
import { filmRunner } from './film-runner.ts';
import { makeChunk, planAndPiece } from './encode.ts';
import { bookedThreads } from './media-process.ts';
import { oneFormFilters } from './one-form.ts';
import { withoutRgb } from './rgb-source.ts';
import { proxySettings, proxySize } from './proxy-coding.ts';

export const encodeProxyRunner = filmRunner('encodeProxy', async (attempt) => {
  const { work, task } = attempt;
  const { plan, piece } = await planAndPiece(work);
  const { source, filters } = withoutRgb(plan.source);
  const making = proxySettings(task.format, task.longestSide, source, bookedThreads(work));
  const size = proxySize(source, task.longestSide);
  const form = oneFormFilters(source, { encoder: 'libx264', ...size });
  await makeChunk(attempt, plan, piece, { ...making, before: filters, form });
});

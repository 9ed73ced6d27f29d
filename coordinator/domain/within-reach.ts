/**
 * What was learned of a kind of work must not keep it from every machine. Sizes are learned with a margin, and
 * of all jobs of a kind together: a unit that some agent could run as its step declares it would wait for ever
 * for a size that nobody has. Where that is so, less is taken as learned.
 */
import { stepOf } from './find.ts';
import { declaredDemand, type Farm, type StepRun } from './farm.ts';
import { isNews, learnedDemand, type LearnedSize, withLowerTop } from './learned-sizes.ts';
import type { AgentLiveness } from './liveness.ts';
import { couldFitOneOf } from './misfit.ts';
import { sizedStep } from './size.ts';
import type { Demand } from './task.ts';

type Agents = ReadonlyMap<string, AgentLiveness>;

/**
 * `news`: what results would have us learn now. Answers what is to be learned instead. Costs a look at each
 * class that waits; at its steps only where no agent could ever run them.
 */
export function withinReach(
  farm: Farm,
  agents: Agents,
  news: readonly LearnedSize[],
): LearnedSize[] {
  const sizes = new Map(news.map((size) => [size.kind, size]));
  for (const step of stepsInQuestion(farm, agents, new Set(sizes.keys()))) {
    const before = farm.learned.get(step.kind);
    const learned = sizes.get(step.kind) ?? before;
    if (learned === undefined) continue;
    const size = reachableSize(step, agents, learned);
    // Lowered as it was before: nothing new is learned by that.
    if (size !== learned && !isNews(before, size)) sizes.delete(step.kind);
    else if (size !== learned) sizes.set(step.kind, size);
  }
  return [...sizes.values()];
}

/** Steps that wait and that nobody could run, and those of kinds that are about to be given more. */
function* stepsInQuestion(
  farm: Farm,
  agents: Agents,
  kinds: ReadonlySet<string>,
): Generator<StepRun> {
  for (const [classKey, owners] of farm.ready.classes()) {
    const steps = [...owners.values()].flat().map(({ job, step }) => stepOf(farm, job, step));
    const [first] = steps;
    if (first === undefined) continue;
    const isStuck = !couldFitOneOf(agents, sizedStep(first, classKey).demand);
    for (const step of steps) if (isStuck || kinds.has(step.kind)) yield step;
  }
}

/** The same where an agent could give the step that much, or not even what the step declares. */
function reachableSize({ spec }: StepRun, agents: Agents, learned: LearnedSize): LearnedSize {
  const declared = declaredDemand(spec);
  if (!couldFitOneOf(agents, declared)) return learned;
  let size = learned;
  for (;;) {
    const given = learnedDemand(declared, size);
    if (given === declared || couldFitOneOf(agents, given)) return size;
    const onlyVram: Demand = { ...declared, vramBytes: given.vramBytes };
    size = couldFitOneOf(agents, onlyVram)
      ? { ...size, ram: withLowerTop(size.ram) }
      : { ...size, vram: withLowerTop(size.vram) };
  }
}

/** What a run came to, for a person. */
import { storyOf } from './journal-story.ts';
import type { Verdict } from './torture.ts';

const MOST_LINES = 60;

export function reportOf({ evidence, broken, settledMs, deposed }: Verdict): readonly string[] {
  const story = storyOf(evidence.journal);
  const notes = (kind: string): number =>
    evidence.clients.filter(({ note }) => note === kind).length;
  const ends = listed(evidence.jobs.map(({ state }) => state));
  const begun = evidence.ledger.filter(({ what }) => what === 'begin');
  const twice = begun.length - new Set(begun.map(({ unitId }) => unitId)).size;
  return [
    `jobs      ${evidence.jobs.length}: ${ends}; ${notes('acknowledged')} submits acknowledged, ${notes('cancelled')} cancels, ${notes('retried')} retries`,
    `units     ${story.acceptances.length} accepted, ${story.grants.length} leases granted, ${story.waiting} of them to wait`,
    `ended     ${listed(story.ends.map(({ kind }) => kind))}`,
    `ledger    ${begun.length} begun by their own account, ${twice} of them for another time`,
    `verdicts  ${evidence.verdicts.length} received by agents: ${listed(evidence.verdicts.map(({ verdict }) => verdict))}`,
    `outputs   ${evidence.outputs.length} fetched`,
    `films     ${evidence.films.length} fetched, ${evidence.films.reduce((sum, { frames }) => sum + frames, 0)} frames`,
    `journal   ${evidence.journal.length} commits, ${story.facts} facts, ${story.snapshots} snapshots, ${story.epochs} reigns (${deposed} deposed)`,
    `starts    ${evidence.starts.fromSnapshot} of coordinators from a snapshot, ${evidence.starts.fromBeginning} from the journal's beginning; ${evidence.starts.cutOff} standbys found the journal cut`,
    `faults    ${evidence.faults.length}: ${listed(evidence.faults.map(({ kind, victim }) => nameOf(kind, victim)))}`,
    `at rest   ${(settledMs / 1000).toFixed(1)} s after the last fault`,
    ...verdictLines(broken),
  ];
}

function verdictLines(broken: readonly string[]): readonly string[] {
  if (broken.length === 0) return ['verdict   nothing lost, nothing doubled'];
  const more = broken.length - MOST_LINES;
  return [
    `verdict   ${broken.length} promises broken`,
    ...broken.slice(0, MOST_LINES).map((line) => `  BROKEN  ${line}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** `kill leader`, `sleep agent`, `cut (deaf)`. */
function nameOf(kind: string, victim: string): string {
  const role = /\((\w+)\)$/.exec(victim)?.[1];
  return role === undefined ? kind.replace(/, then \w+/, '') : `${kind} ${role}`;
}

function listed(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}

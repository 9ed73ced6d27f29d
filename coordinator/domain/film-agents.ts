/** Which agents may take units of a job and can encode films, and by which encoders: for who chooses one for all. */
import { lacking, NO_DEMAND } from './demand.ts';
import type { Seen } from './estimates.ts';
import { whyClosed } from './roster.ts';

export interface EncodingAgent {
  readonly name: string;
  /** Those that were proven there. */
  readonly encoders: ReadonlySet<string>;
  /** In all, whatever runs there. */
  readonly cpus: number;
}

const ENCODER = 'encoder:';

/** `attributes`: what every unit of the job asks for, such as a tag. Those that get nothing now are left out. */
export function filmAgents(
  { farm, liveness, now }: Pick<Seen, 'farm' | 'liveness' | 'now'>,
  attributes: readonly string[],
): EncodingAgent[] {
  const demand = { ...NO_DEMAND, attributes: [...attributes, 'tool:ffmpeg'] };
  return [...farm.agents.values()].flatMap((record) => {
    const agent = liveness.agents.get(record.id);
    if (agent?.capacity === undefined) return [];
    // One that had no room a moment ago is asked again soon.
    const asked = { ...agent, grantsPausedUntilMs: 0 };
    if (whyClosed(liveness, asked, record, now) !== undefined) return [];
    if (lacking(demand, agent.capacity).length > 0) return [];
    const encoders = agent.capacity.attributes.flatMap((attribute) =>
      attribute.startsWith(ENCODER) ? [attribute.slice(ENCODER.length)] : [],
    );
    if (encoders.length === 0) return [];
    const cpus = agent.capacity.cpuMillis / 1000;
    return [{ name: record.name, encoders: new Set(encoders), cpus }];
  });
}

/** More threads help one unit less and less; more units help as many times. */
const USUAL_CPUS = 2;

/**
 * What a unit of many threads books where nobody said: no more than there are anywhere. `mostCpus`: of the largest
 * agent that may take it; 0 where none is known.
 */
export function usualCpus(mostCpus: number): number {
  return mostCpus < 1 ? USUAL_CPUS : Math.min(USUAL_CPUS, Math.floor(mostCpus));
}

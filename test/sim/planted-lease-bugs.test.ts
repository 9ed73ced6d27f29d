/** The simulator bites: each planted bug is found within the stated number of seeds, by the right check. */
import { testPlantedBugs } from './bug-table.ts';
import { LEASE_BUGS } from './planted-lease-bugs.ts';

testPlantedBugs(LEASE_BUGS);

/** The simulator bites: each planted bug is found within the stated number of seeds, by the right check. */
import { testPlantedBugs } from './bug-table.ts';
import { COPY_BUGS } from './planted-copy-bugs.ts';

testPlantedBugs(COPY_BUGS);

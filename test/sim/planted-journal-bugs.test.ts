/** The simulator bites: each planted bug is found within the stated number of seeds, by the right check. */
import { testPlantedBugs } from './bug-table.ts';
import { JOURNAL_BUGS } from './planted-journal-bugs.ts';

testPlantedBugs(JOURNAL_BUGS);

/** The simulator sets clocks, and bites there too. */
import { testPlantedBugs } from './bug-table.ts';
import { CLOCK_BUGS } from './planted-clock-bugs.ts';

testPlantedBugs(CLOCK_BUGS);

import { expect, test } from 'vitest';
import { agentDetails, illGpuLines } from '../../../../cli/output/agent-text.ts';
import { PLAIN_STYLE } from '../../../../cli/output/style.ts';
import { AgentState, type Agent } from '../../../../proto/gen/furrow/v1/farm_service.ts';
import { Capacity, Gpu } from '../../../../proto/gen/furrow/v1/agent_service.ts';

const GIB = 2 ** 30;

const agent: Agent = {
  id: 'den-1a2b3c',
  name: 'den',
  state: AgentState.AGENT_STATE_ONLINE,
  lastBeatAgeMs: 900,
  leases: 2,
  bookedCpuMillis: 2500,
  bookedRamBytes: 3 * GIB,
  version: '0.1.0',
  capacity: {
    ...Capacity.fromPartial({}),
    cpuMillis: 8000,
    loadMillis: 1500,
    ramTotalBytes: 32 * GIB,
    ramAvailableBytes: 24 * GIB,
    scratchFreeBytes: 100 * GIB,
    scratchTotalBytes: 400 * GIB,
    encoderSessions: 8,
    attributes: ['tool:ffmpeg', 'encoder:h264_nvenc'],
    toolchain: { node: '20.20.2', ffmpeg: '6.1' },
    isolation: {
      level: 'bwrap',
      detail: 'programs have their own folder, the system read-only, and no network',
      allowedCommands: ['blender', 'ffmpeg'],
      allowsNetwork: false,
    },
    faults: [{ attribute: 'encoder:av1_nvenc', reason: 'No capable devices found' }],
    gpus: [
      Gpu.fromPartial({
        id: 'GPU-1',
        name: 'RTX 3060',
        driver: '550.54',
        vramTotalBytes: 12 * GIB,
        vramFreeBytes: 6 * GIB,
        vramOursBytes: 4 * GIB,
        vramForeignBytes: 2 * GIB,
        utilisationPercent: 90,
        encoderSessions: 1,
        temperatureCelsius: 65,
        powerWatts: 120,
      }),
      Gpu.fromPartial({
        id: 'GPU-2',
        name: 'RTX 3090',
        unusableReason: 'GPU is lost',
        vramTotalBytes: 24 * GIB,
      }),
    ],
    otherGpus: [
      Gpu.fromPartial({ id: '0c:00.0', name: 'Radeon', unusableReason: 'it cannot be told' }),
    ],
  },
};

test('an agent in full', () => {
  expect(agentDetails(agent, PLAIN_STYLE, undefined)).toEqual([
    'agent    den (den-1a2b3c), version 0.1.0',
    'state    online, last heard of just now, 2 units',
    'cores    2.5 of 8 booked, load 1.5',
    'memory   3 GiB of 32 GiB booked, 24 GiB free or used by units',
    'scratch  100 GiB free of 400 GiB',
    'encoders 8 hardware sessions for units',
    'can      tool:ffmpeg, encoder:h264_nvenc',
    'versions ffmpeg 6.1, node 20.20.2',
    'commands blender, ffmpeg; bwrap: programs have their own folder, the system read-only, and no network',
    'cannot   encoder:av1_nvenc: No capable devices found',
    '',
    'GPU       STATE       VRAM   FREE  UNITS  OTHERS  BUSY  ENCODERS   TEMP  POWER  DRIVER  ID',
    'RTX 3060  well      12 GiB  6 GiB  4 GiB   2 GiB   90%         1  65 °C  120 W  550.54  GPU-1',
    'RTX 3090  unusable  24 GiB    0 B    0 B     0 B     -         -      -      -  -       GPU-2',
    'Radeon    unusable       -      -      -       -     -         -      -      -  -       0c:00.0',
    'RTX 3090: GPU is lost',
    'Radeon: it cannot be told',
  ]);
});

test('one that was never heard of has nothing to show', () => {
  expect(agentDetails({ ...agent, capacity: undefined }, PLAIN_STYLE, undefined)).toHaveLength(2);
});

test('the list names GPUs that are ill, and not those that are never used', () => {
  expect(illGpuLines([agent], PLAIN_STYLE)).toEqual(['den: RTX 3090 cannot be used: GPU is lost']);
});

test.each([
  [undefined, 'any; its version knows no rules for programs'],
  [
    { level: 'none', detail: 'programs run as mia', allowedCommands: ['*'], allowsNetwork: false },
    'any; no sandbox: programs run as mia',
  ],
  [
    { level: 'bwrap', detail: 'own folder', allowedCommands: [], allowsNetwork: false },
    'none allowed; bwrap: own folder',
  ],
])('which commands it runs, and how: %j', (isolation, words) => {
  const capacity = { ...agent.capacity!, isolation };
  const lines = agentDetails({ ...agent, capacity }, PLAIN_STYLE, undefined);
  expect(lines).toContain(`commands ${words}`);
});

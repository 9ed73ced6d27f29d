/** What of an agent is there before it has a farm, and stays when it goes from one coordinator to another. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EnrolAgentRequest } from '../proto/gen/furrow/v1/agent_service.ts';
import { systemClock } from '../kit/clock.ts';
import type { Logger } from '../kit/log.ts';
import { VERSION } from '../kit/version.ts';
import { Changes } from './changes.ts';
import type { AgentConfig } from './config.ts';
import { FARM_SEEN_FILE, FarmSeen } from './farm-seen.ts';
import { agentIdIn, machineFingerprint } from './probe/machine.ts';
import { MemorySampler } from './process/memory-sampler.ts';
import { ProcessRecords } from './process/process-records.ts';
import { VramUse } from './process/vram-use.ts';
import { SESSION_START_FILE, sessionStart } from './session-start.ts';
import { stateFile } from './state-file.ts';
import { openUnitMemory, type UnitMemory } from './unit-memory.ts';

export class AgentState {
  readonly config: AgentConfig;
  readonly log: Logger;
  readonly identity: EnrolAgentRequest;
  /** Of this run. */
  readonly session = randomBytes(8).toString('hex');
  readonly startedAtMs: number;
  readonly records: ProcessRecords;
  readonly seen: FarmSeen;
  readonly vram = new VramUse();
  readonly sampler = new MemorySampler(this.vram);
  readonly memory: UnitMemory;
  readonly changes = new Changes();

  constructor(config: AgentConfig, log: Logger) {
    this.config = config;
    const { stateDirectory, name, memoryEnforcement } = config;
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    this.identity = {
      agentId: agentIdIn(stateDirectory, name),
      name,
      machineFingerprint: machineFingerprint(),
      version: VERSION,
    };
    const { agentId } = this.identity;
    this.log = log.child({ agent: agentId });
    const startFile = stateFile(stateDirectory, SESSION_START_FILE);
    this.startedAtMs = sessionStart(startFile, performance.timeOrigin, this.log);
    this.seen = new FarmSeen(stateFile(stateDirectory, FARM_SEEN_FILE), this.log, () =>
      systemClock.monotonicMs(),
    );
    this.records = new ProcessRecords(join(stateDirectory, 'processes'));
    this.memory = openUnitMemory(memoryEnforcement, agentId, this.sampler, this.log);
  }

  /** Ends what an earlier run left behind. */
  async endLeftovers(): Promise<void> {
    const survivors = await this.records.endLeftovers();
    for (const { pid } of survivors) {
      this.log.error({ pid }, 'a process of an earlier run cannot be ended; restart the machine');
    }
    this.memory.cgroups?.sweep();
  }
}

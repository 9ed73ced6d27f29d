/**
 * Cuts off whoever was shut out: its streams here, and, while this coordinator leads, its connections to NATS.
 * NATS is told again after each trouble and whenever it was away, for it may know of nobody.
 */
import { Events, type NatsConnection } from 'nats';
import { messageOf } from '../kit/furrow-error.ts';
import type { Logger } from '../kit/log.ts';
import type { Fact } from './domain/facts.ts';
import type { AgentStreams } from './grpc/agent-service.ts';
import type { Office } from './office.ts';
import type { NatsAccess } from './work/nats-access.ts';

export interface ShutOutOptions {
  readonly nats: Pick<NatsConnection, 'status'>;
  readonly natsAccess: Pick<NatsAccess, 'shutOut'>;
  readonly office: Pick<Office, 'farm' | 'duty'>;
  readonly streams: Pick<AgentStreams, 'hangUp'>;
  readonly log: Logger;
}

const TELL_AGAIN_MS = 5_000;

export class ShutOut {
  readonly #options: ShutOutOptions;
  #tellAgain: NodeJS.Timeout | undefined;

  constructor(options: ShutOutOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#hearOfNats();
  }

  stop(): void {
    clearTimeout(this.#tellAgain);
  }

  /** What was committed. */
  note(facts: readonly Fact[]): void {
    const revoked = facts.filter((fact) => fact.type === 'AgentRevoked');
    for (const { agentId } of revoked) this.#options.streams.hangUp(agentId);
    const isNews = revoked.length > 0 || facts.some(({ type }) => type === 'AgentJoined');
    if (isNews) this.tellNats();
  }

  /** Without effect where another leads. */
  tellNats(): void {
    const { natsAccess, office, log } = this.#options;
    const { farm, duty } = office;
    if (duty.state !== 'leading' || farm.shutOutKeys.size === 0) return;
    clearTimeout(this.#tellAgain);
    natsAccess.shutOut(farm.shutOutKeys).catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'cannot tell NATS who is shut out, trying on');
      this.#tellAgain = setTimeout(() => this.tellNats(), TELL_AGAIN_MS);
    });
  }

  async #hearOfNats(): Promise<void> {
    for await (const { type } of this.#options.nats.status()) {
      if (type === Events.Reconnect) this.tellNats();
    }
  }
}

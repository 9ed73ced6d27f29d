/**
 * Where this coordinator and the farm's others are, as far as it knows, and how that is told: to this machine by
 * the farm file, to the network by mDNS, to people by the farm's URL.
 */
import { announceFarm } from '../kit/farm-discovery.ts';
import { fingerprintOf } from '../kit/farm-ca.ts';
import { formatFarmUrl } from '../kit/farm-url.ts';
import { writeFarmFile } from '../kit/furrow-home.ts';
import type { Logger } from '../kit/log.ts';
import type { CoordinatorConfig } from './config.ts';
import type { LeaderAddress } from './journal/election.ts';
import type { Identity } from './server-identity.ts';

export interface WhereaboutsOptions {
  readonly config: CoordinatorConfig;
  /** The farm's own token: what proves an announcement. */
  readonly token: string;
  readonly identity: Identity;
  readonly log: Logger;
}

export class Whereabouts {
  readonly #options: WhereaboutsOptions;
  /** As the listeners say; empty until they are open. */
  #listening: LeaderAddress = { grpc: '', http: '' };
  /** HOST:PORT of the one that led before. */
  #peers: readonly string[] = [];
  /** Undefined while it is not announced. */
  #endAnnouncing: (() => Promise<void>) | undefined;

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  opened(listening: LeaderAddress): void {
    this.#listening = listening;
  }

  /** Where the listeners are. */
  get listening(): LeaderAddress {
    return this.#listening;
  }

  get grpcPort(): number {
    return Number(this.#listening.grpc.split(':').at(-1));
  }

  get httpPort(): number {
    return Number(new URL(this.#listening.http).port);
  }

  /** How others reach it. */
  get own(): LeaderAddress {
    const { grpc, http } = this.#listening;
    const { advertise } = this.#options.config;
    if (advertise === undefined || http === '') return { grpc, http };
    const { protocol } = new URL(http);
    const [grpcAt, httpAt] = [`${advertise}:${this.grpcPort}`, `${advertise}:${this.httpPort}`];
    return { grpc: grpcAt, http: `${protocol}//${httpAt}` };
  }

  /** Whether it is another than before. */
  heardOfLeader(leader: LeaderAddress): boolean {
    if (leader.grpc === this.#peers[0]) return false;
    this.#options.log.info({ leader: leader.grpc }, 'standing by');
    this.#peers = [leader.grpc];
    return true;
  }

  /** HOST:PORT of all that are known, this one's first. */
  addresses(): readonly string[] {
    return [...new Set([this.own.grpc, ...this.#peers])];
  }

  urlWith(token: string): string {
    return formatFarmUrl({ address: this.addresses().join(','), caSha256: this.#caSha256, token });
  }

  /** Undefined where clients believe what their systems do. */
  get #caSha256(): string | undefined {
    const { trust } = this.#options.identity;
    const ca = trust.state === 'tls' ? trust.ca : undefined;
    return ca === undefined ? undefined : fingerprintOf(ca);
  }

  writeFarmFile(): Promise<void> {
    const { config, identity } = this.#options;
    return writeFarmFile(config.home.farmFile, {
      ...this.#listening,
      nats: [...config.nats],
      pid: process.pid,
      peers: [...this.#peers],
      trust: identity.trust,
    });
  }

  /**
   * Once, where that is wanted. Whether it leads or stands by: agents take the addresses of all of a farm's
   * coordinators.
   */
  announce(farmId: string): void {
    const { config, token, log } = this.#options;
    if (!config.announce || this.#endAnnouncing !== undefined) return;
    const { grpc: address } = this.own;
    if (/^(0\.0\.0\.0|\[?::\]?):/.test(address)) {
      log.warn({ address }, 'not announced: say with --advertise HOST how others reach it');
      return;
    }
    const network = { port: config.mdnsPort, interface: config.mdnsInterface };
    this.#endAnnouncing = announceFarm(
      { farmId, address, caSha256: this.#caSha256 ?? '' },
      token,
      network,
      (message) => log.debug({ message }, 'trouble with mDNS'),
    );
    log.info({ address }, 'announced on the network');
  }

  async endAnnouncing(): Promise<void> {
    await this.#endAnnouncing?.();
  }
}

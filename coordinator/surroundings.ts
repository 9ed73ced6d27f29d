/** What the coordinator stands on, looked at now and then: NATS, the blobs' disk and store. */
import { Events, type NatsConnection } from 'nats';
import type { Logger } from '../kit/log.ts';
import { messageOf } from '../kit/furrow-error.ts';
import { type Durability, readDurability } from './journal/durability.ts';
import type { Surroundings } from './grpc/farm-service.ts';
import { openFilesTrouble } from './open-files.ts';
import type { BlobStore } from './ports.ts';

export interface SurroundingsOptions {
  readonly nats: NatsConnection;
  readonly store: BlobStore;
  readonly log: Logger;
  /** Monitoring of the NATS servers; without it nothing is proven durable. */
  readonly monitorUrls: readonly string[];
}

const LOOK_EVERY_MS = 10_000;

export class SurroundingsWatch {
  readonly #options: SurroundingsOptions;
  #durability: Durability = { durable: false, how: 'not looked at yet' };
  #blobDiskFreeBytes = 0;
  #blobDiskWarning = '';
  #blobStoreTrouble = '';
  #isAskingStore = false;
  #areFilesShort = false;
  #isNatsConnected = true;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: SurroundingsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    void this.#followNats();
    await this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  now(): Surroundings {
    return {
      durable: this.#durability.durable,
      durability: this.#durability.how,
      natsVersion: this.#options.nats.info?.version ?? '',
      natsConnected: this.#isNatsConnected,
      blobDiskFreeBytes: this.#blobDiskFreeBytes,
      blobDiskWarning: this.#blobDiskWarning,
      blobStore: this.#options.store.location,
      blobStoreTrouble: this.#blobStoreTrouble,
    };
  }

  async #look(): Promise<void> {
    const { nats, store, monitorUrls } = this.#options;
    // While NATS is away there is nothing to read; what was read of it stays true of its files.
    if (this.#isNatsConnected) this.#durability = await readDurability(nats, monitorUrls);
    void this.#lookAtStore();
    void this.#lookAtFiles();
    try {
      this.#blobDiskFreeBytes = await store.space.freeBytes();
      this.#blobDiskWarning = (await store.space.low())
        ? 'the disk of the blobs is nearly full: uploads are refused until there is room'
        : '';
    } catch (error) {
      // A disk that is away for a while must not end the coordinator.
      this.#blobDiskWarning = `the disk of the blobs cannot be read: ${messageOf(error)}`;
    }
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#look(), LOOK_EVERY_MS);
  }

  /** Not waited for: a store that is away may take long to say nothing. */
  async #lookAtStore(): Promise<void> {
    if (this.#isAskingStore) return;
    this.#isAskingStore = true;
    this.#blobStoreTrouble = (await this.#options.store.trouble()) ?? '';
    this.#isAskingStore = false;
  }

  /** Said once, until there is room again. */
  async #lookAtFiles(): Promise<void> {
    const trouble = await openFilesTrouble();
    if (trouble !== undefined && !this.#areFilesShort) {
      this.#options.log.warn({ trouble }, 'open files are short');
    }
    this.#areFilesShort = trouble !== undefined;
  }

  async #followNats(): Promise<void> {
    for await (const status of this.#options.nats.status()) {
      if (status.type === Events.Disconnect) this.#isNatsConnected = false;
      if (status.type === Events.Reconnect) this.#isNatsConnected = true;
    }
  }
}

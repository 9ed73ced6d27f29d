/**
 * A gRPC channel to a farm that may have several coordinators: calls go to one of them, and whoever
 * calls says when that one did not serve. Clients are made with it once and stay; what changes is
 * where their next call goes.
 */
import {
  Channel,
  type ChannelCredentials,
  type ChannelInterface,
  type ChannelOptions,
  type connectivityState,
} from '@grpc/grpc-js';
import { channelCredentialsFor, channelOptionsFor } from './channel-trust.ts';
import { CoordinatorRoute } from './coordinator-route.ts';
import type { Trust } from './trust.ts';

/** Far more than a farm has coordinators. */
const MOST_CHANNELS = 16;

export class CoordinatorChannel extends CoordinatorRoute implements ChannelInterface {
  readonly #options: ChannelOptions;
  readonly #trust: Trust;
  readonly #credentials: ChannelCredentials;
  readonly #channels = new Map<string, Channel>();

  /** `farm`: as CoordinatorRoute has it. */
  constructor(farm: string, trust: Trust, options: ChannelOptions) {
    super(farm);
    this.#options = options;
    this.#trust = trust;
    this.#credentials = channelCredentialsFor(trust);
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  getTarget(): string {
    return this.#open().getTarget();
  }

  getConnectivityState(tryToConnect: boolean): connectivityState {
    return this.#open().getConnectivityState(tryToConnect);
  }

  watchConnectivityState(...args: Parameters<Channel['watchConnectivityState']>): void {
    this.#open().watchConnectivityState(...args);
  }

  getChannelzRef(): ReturnType<Channel['getChannelzRef']> {
    return this.#open().getChannelzRef();
  }

  createCall(...args: Parameters<Channel['createCall']>): ReturnType<Channel['createCall']> {
    return this.#open().createCall(...args);
  }

  /** Leaders may be told of without end. */
  #closeOldest(): void {
    if (this.#channels.size < MOST_CHANNELS) return;
    const [oldest] = this.#channels;
    if (oldest === undefined) return;
    oldest[1].close();
    this.#channels.delete(oldest[0]);
  }

  #open(): Channel {
    let channel = this.#channels.get(this.address);
    if (channel === undefined) {
      const options = { ...this.#options, ...channelOptionsFor(this.#trust, this.address) };
      this.#closeOldest();
      channel = new Channel(this.address, this.#credentials, options);
      this.#channels.set(this.address, channel);
    }
    return channel;
  }
}

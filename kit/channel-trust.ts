/** What a gRPC channel wants to hear of whom to believe. */
import { ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { isIP } from 'node:net';
import { FARM_SERVER_NAME, type Trust } from './trust.ts';

export function channelCredentialsFor(trust: Trust): ChannelCredentials {
  if (trust.state === 'plaintext') return ChannelCredentials.createInsecure();
  return ChannelCredentials.createSsl(trust.ca === undefined ? null : Buffer.from(trust.ca));
}

/** To be merged into the options of the channel to HOST:PORT. */
export function channelOptionsFor(trust: Trust, address: string): ChannelOptions {
  if (trust.state === 'plaintext') return {};
  const { ca, serverName } = trust;
  if (serverName !== undefined) return { 'grpc.ssl_target_name_override': serverName };
  // Nobody vouches publicly for an address, and to ask for one by name makes Node warn on the terminal.
  const isAddress = isIP(address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')) !== 0;
  return isAddress && ca === undefined ? { 'grpc.ssl_target_name_override': FARM_SERVER_NAME } : {};
}

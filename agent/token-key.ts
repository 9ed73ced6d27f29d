/** Tokens as map keys and as parts of file names: `<epoch>.<counter>`. */
import type { Token } from '../proto/gen/furrow/v1/agent_service.ts';

export type TokenKey = string & { readonly tokenKeyBrand: true };

export function tokenKey(token: Token): TokenKey {
  return `${token.epoch}.${token.counter}` as TokenKey;
}

/** Null for what is no key. */
export function tokenOfKey(key: string): Token | null {
  const match = /^(\d{1,10})\.(\d{1,16})$/.exec(key);
  return match === null ? null : { epoch: Number(match[1]), counter: Number(match[2]) };
}

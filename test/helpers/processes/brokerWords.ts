/**
 * Broker words: what a broker is to do to its users, in Erlang: several of them in one call.
 * From: broker.ts, users.ts and vhost.ts.  To: `eval(inOrder(...))`.
 * Bound: none.
 */
import type { Permissions } from './broker.ts';

const USERS = 'rabbit_auth_backend_internal';
/** Who does it, as the broker's log has it. */
export const BY = '<<"tests">>';

export function textOf(value: string): string {
  return `<<${[...Buffer.from(value)].join(',')}>>`;
}

export function inOrder(...words: readonly string[]): string {
  return `${words.join(', ')}.`;
}

/** It may be there already: it has this password afterwards. */
export function addUser(name: string, password: string): string {
  const [user, secret] = [textOf(name), textOf(password)];
  const add = `${USERS}:add_user(${user}, ${secret}, ${BY})`;
  const change = `${USERS}:change_password(${user}, ${secret}, ${BY})`;
  return `case ${USERS}:exists(${user}) of true -> ${change}; false -> ${add} end`;
}

export function permit(name: string, permissions: Permissions, vhost = '/'): string {
  const { configure, write, read } = permissions;
  const rights = [vhost, configure, write, read].map(textOf).join(', ');
  return `${USERS}:set_permissions(${textOf(name)}, ${rights}, ${BY})`;
}

export function removeUser(name: string): string {
  return `${USERS}:delete_user(${textOf(name)}, ${BY})`;
}

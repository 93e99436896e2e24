/** The three broker users of docs/amqp.md, made with the permissions that stand there. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker, Permissions } from './broker.ts';
import { addUser, inOrder, permit, removeUser } from './brokerWords.ts';

const PASSWORD = 'secret';
const DOC = join(import.meta.dirname, '../../../docs/amqp.md');

/** The documented permissions of `user`, for names that begin with `prefix`. */
export function documentedPermissions(
  user: 'owsla' | 'backend' | 'auth',
  prefix: string,
): Permissions {
  const pattern = new RegExp(
    `^rabbitmqctl set_permissions +${user} +'(\\S+)' +'(\\S+)' +'(\\S+)'$`,
    'm',
  );
  const found = pattern.exec(readFileSync(DOC, 'utf8'));
  const [configure = '', write = '', read = ''] = (found?.slice(1) ?? []).map((expression) =>
    expression.replaceAll('owsla\\.', `${prefix}\\.`),
  );
  if (read === '') throw new Error(`${DOC} has no permissions for ${user}`);
  return { configure, write, read };
}

export interface Users {
  /** URLs, each with its user. */
  readonly owsla: string;
  readonly backend: string;
  /** Who says which devices may connect. */
  readonly auth: string;
  remove(): Promise<void>;
}

/**
 * A user of each kind, all fresh. A broker that rabbitmqctl cannot reach gives its own login for
 * all, and a line in the test's output says so.
 */
export async function addUsers(broker: Broker, prefix: string): Promise<Users> {
  const suffix = randomUUID().slice(0, 8);
  const users = ['owsla', 'backend', 'auth'] as const;
  const nameOf = (user: (typeof users)[number]) => `${user}-${suffix}`;
  const made = users.flatMap((user) => [
    addUser(nameOf(user), PASSWORD),
    permit(nameOf(user), documentedPermissions(user, prefix)),
  ]);
  try {
    await broker.eval(inOrder(...made));
    const [owsla = '', backend = '', auth = ''] = users.map((user) =>
      broker.urlFor(nameOf(user), PASSWORD),
    );
    const remove = async () => {
      await broker.eval(inOrder(...users.map((user) => removeUser(nameOf(user)))));
    };
    return { owsla, backend, auth, remove };
  } catch (error) {
    console.log(`# not under the permissions of docs/amqp.md: ${(error as Error).message}`);
    const { url } = broker;
    return { owsla: url, backend: url, auth: url, remove: async () => {} };
  }
}

/** The two broker users of docs/amqp.md, made with the permissions that stand there. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker, Permissions } from './broker.ts';

const DOC = join(import.meta.dirname, '../../docs/amqp.md');

/** The documented permissions of `user`, for names that begin with `prefix`. */
export function documentedPermissions(user: 'owsla' | 'backend', prefix: string): Permissions {
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

/** URLs of an Owsla user and of a backend user, both fresh. */
export async function addUsers(broker: Broker, prefix: string) {
  const suffix = randomUUID().slice(0, 8);
  const [owsla, backend] = await Promise.all([
    broker.addUser(`owsla-${suffix}`, 'secret', documentedPermissions('owsla', prefix)),
    broker.addUser(`backend-${suffix}`, 'secret', documentedPermissions('backend', prefix)),
  ]);
  return { owsla, backend };
}

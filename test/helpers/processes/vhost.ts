/**
 * Vhost: a virtual host of one test, so that names at the broker are those that the pages have.
 * From: a broker that rabbitmqctl reaches; a private one where the one found is none.
 * To: URLs of users with the permissions of docs/amqp.md; all of it goes with the test.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Broker, findBroker, shareBroker, startBroker } from './broker.ts';
import { documentedPermissions } from './users.ts';

const PASSWORD = 'secret';
const BY = '<<"tests">>';
const AUTH = 'rabbit_auth_backend_internal';

export interface Vhost {
  readonly name: string;
  readonly broker: Broker;
  /** Owsla's user, a backend's, and the administrator. */
  readonly owsla: string;
  readonly backend: string;
  readonly admin: string;
  /** A script that runs rabbitmqctl at this broker; where a page leaves out `-p`, it is ours. */
  readonly rabbitmqctl: string;
  /** The URL of a user that somebody else made. */
  urlFor(name: string, password: string): string;
  /** With the users that somebody else made. */
  remove(others?: readonly string[]): Promise<void>;
}

const text = (value: string): string => `<<${[...Buffer.from(value)].join(',')}>>`;

/** One call of rabbitmqctl for all of it: each costs the start of an Erlang VM. */
export async function makeVhost(): Promise<Vhost> {
  const { broker, home } = await reachable();
  const id = randomUUID().slice(0, 8);
  const name = `docs-${id}`;
  const vhost = text(name);
  const permit = (user: string, rights: readonly string[]) =>
    `${AUTH}:set_permissions(${[user, vhost, ...rights, BY].join(', ')})`;
  const steps = [`rabbit_vhost:add(${vhost}, ${BY})`];
  steps.push(permit('<<"guest">>', Array(3).fill('<<".*">>')));
  for (const user of ['owsla', 'backend'] as const) {
    const { configure, write, read } = documentedPermissions(user, 'owsla');
    steps.push(`${AUTH}:add_user(${text(`${user}-${id}`)}, ${text(PASSWORD)}, ${BY})`);
    steps.push(permit(text(`${user}-${id}`), [configure, write, read].map(text)));
  }
  await broker.ctl('eval', `${steps.join(', ')}.`);
  const urlFor = (user: string, password: string) =>
    Object.assign(new URL(broker.urlFor(user, password)), { pathname: `/${name}` }).href;
  const remove = async (others: readonly string[] = []) => {
    const users = ['owsla', 'backend'].map((user) => `${user}-${id}`);
    const ends = [...users, ...others]
      .map(text)
      .map((user) => `${AUTH}:delete_user(${user}, ${BY})`);
    await broker.ctl('eval', `${ends.join(', ')}, rabbit_vhost:delete(${vhost}, ${BY}).`);
    await broker.stop();
  };
  const [owsla, backend] = ['owsla', 'backend'].map((user) => urlFor(`${user}-${id}`, PASSWORD));
  return {
    name,
    broker,
    owsla: owsla ?? '',
    backend: backend ?? '',
    admin: urlFor('guest', 'guest'),
    rabbitmqctl: scriptFor(home, name),
    urlFor,
    remove,
  };
}

async function reachable(): Promise<{ broker: Broker; home: string }> {
  const found = await findBroker();
  const home = process.env.OWSLA_TEST_BROKER || shareBroker(found).OWSLA_TEST_BROKER;
  if (home !== '') return { broker: found, home };
  const broker = await startBroker();
  return { broker, home: shareBroker(broker).OWSLA_TEST_BROKER };
}

function scriptFor(home: string, vhost: string): string {
  const { env, scripts } = JSON.parse(readFileSync(join(home, 'home.json'), 'utf8'));
  const variables = Object.entries(env).map(([name, value]) => `export ${name}='${value}'`);
  return `#!/bin/sh
${variables.join('\n')}
command=$1
shift
case $command in set_permissions | list_bindings | list_queues) set -- -p ${vhost} "$@" ;; esac
exec ${scripts}/rabbitmqctl --quiet "$command" "$@"
`;
}

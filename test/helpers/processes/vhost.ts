/**
 * Vhost: a virtual host of one test, so that names at the broker are those that the pages have.
 * From: a broker that rabbitmqctl reaches; a private one where the one found is none.
 * To: URLs of users with the permissions of docs/amqp.md; all of it goes with the test.
 */
import { randomUUID } from 'node:crypto';
import { type Broker, findBroker, readHome, scriptOf, shareBroker, startBroker } from './broker.ts';
import { addUser, BY, inOrder, permit, removeUser, textOf } from './brokerWords.ts';
import { documentedPermissions } from './users.ts';

const PASSWORD = 'secret';

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

/** One call for all of it. */
export async function makeVhost(): Promise<Vhost> {
  const { broker, home } = await reachable();
  const id = randomUUID().slice(0, 8);
  const name = `docs-${id}`;
  const users = ['owsla', 'backend'] as const;
  const all = { configure: '.*', write: '.*', read: '.*' };
  const made = users.flatMap((user) => [
    addUser(`${user}-${id}`, PASSWORD),
    permit(`${user}-${id}`, documentedPermissions(user, 'owsla'), name),
  ]);
  const add = `rabbit_vhost:add(${textOf(name)}, ${BY})`;
  await broker.eval(inOrder(add, permit('guest', all, name), ...made));
  const urlFor = (user: string, password: string) =>
    Object.assign(new URL(broker.urlFor(user, password)), { pathname: `/${name}` }).href;
  const remove = async (others: readonly string[] = []) => {
    const names = [...users.map((user) => `${user}-${id}`), ...others];
    const end = `rabbit_vhost:delete(${textOf(name)}, ${BY})`;
    await broker.eval(inOrder(...names.map(removeUser), end));
    await broker.stop();
  };
  const [owsla, backend] = users.map((user) => urlFor(`${user}-${id}`, PASSWORD));
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
  const made = readHome(home);
  const variables = Object.entries(made.env).map(([name, value]) => `export ${name}='${value}'`);
  return `#!/bin/sh
${variables.join('\n')}
command=$1
shift
case $command in set_permissions | list_bindings | list_queues) set -- -p ${vhost} "$@" ;; esac
exec ${scriptOf(made, 'rabbitmqctl').join(' ')} --quiet "$command" "$@"
`;
}

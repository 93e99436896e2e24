/** The example backends when the broker dies under them: they come back by themselves. */
import t from 'tap';
import { startBroker } from '../helpers/processes/broker.ts';
import { Command } from '../helpers/processes/command.ts';
import { at, noBunny } from '../helpers/processes/programs.ts';
import { Server } from '../helpers/processes/server.ts';

const BACKENDS = [
  { name: 'backend.rb', command: ['ruby', at('examples/backend.rb')] },
  { name: 'backend.ts', command: [process.execPath, at('examples/backend.ts')] },
] as const;

const broker = await startBroker();
t.teardown(() => broker.stop());

/** A device asks once; resolves with its exit code. Owsla answers it in any case. */
function ask(server: Server): Promise<number | string> {
  const words = ['127.0.0.1', String(server.port), 'door-17', '--request', 'door.open', 'please'];
  return new Command([process.execPath, at('examples/device.ts'), ...words]).exit;
}

/** Asks again, as a device would, until a backend has answered. */
async function isAnswered(server: Server): Promise<boolean> {
  for (let tries = 0; tries < 10; tries += 1) {
    if ((await ask(server)) === 0) return true;
  }
  return false;
}

interface Pair {
  readonly name: string;
  readonly server: Server;
  readonly backend: Command;
}

/** A node and the backend that answers its devices. */
async function pair({ name, command }: (typeof BACKENDS)[number]): Promise<Pair> {
  const prefix = name.replace('.', '-');
  const options = { amqp: broker.url, prefix, acceptors: 1 };
  const server = await Server.start({
    ...options,
    limits: { requestMs: 5_000, reconnectMaxMs: 500 },
  });
  const backend = new Command(command, { OWSLA_AMQP: broker.url, OWSLA_PREFIX: prefix });
  t.teardown(async () => {
    await backend.end();
    await server.stop();
  });
  await backend.prints(/^ready$/m);
  return { name, server, backend };
}

t.test('each goes on answering after the broker was killed and started again', async (t) => {
  const here = BACKENDS.filter(({ name }) => name !== 'backend.rb' || !noBunny);
  if (noBunny) t.comment(noBunny);
  const pairs = await Promise.all(here.map(pair));
  for (const { name, server } of pairs) t.equal(await ask(server), 0, `${name}: before`);

  await broker.kill();
  await broker.start();

  for (const { name, server } of pairs) t.ok(await isAnswered(server), `${name}: after`);
});

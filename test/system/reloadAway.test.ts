/** Reloads of a node that lacks something at that moment: its broker, or its registrar. */
import t from 'tap';
import { TYPE } from '../../src/wire/message.ts';
import { Device } from '../helpers/fakes/device.ts';
import { ToxicProxy } from '../helpers/fakes/toxicProxy.ts';
import { findBroker } from '../helpers/processes/broker.ts';
import { startNode } from '../helpers/processes/node.ts';
import { reloadNode } from '../helpers/processes/reloads.ts';
import { waitFor } from '../helpers/waitFor.ts';

const broker = await findBroker();
t.teardown(() => broker.stop());
const proxy = await ToxicProxy.start(Number(new URL(broker.url).port));
t.teardown(() => proxy.stop());
const limits = { drainMs: 200, drainPaceMs: 100, lingerMs: 100, reportMs: 500, restartsMax: 1 };
const amqp = proxy.urlFor(broker.url);
const { server, runDir } = await startNode(t, { broker, amqp, acceptors: 1, limits });
const device = await Device.open(server.port, 'stays');

t.test('the registrar waits for its next start: the new one is there sooner', async (t) => {
  for (const life of ['first', 'second']) {
    await waitFor(`its ${life} life`, () => server.childPid('registrar') !== 0);
    const seen = server.log.length;
    process.kill(server.childPid('registrar'), 'SIGKILL');
    await waitFor('its end', () =>
      server.log.slice(seen).some((one) => one.child === 'registrar' && 'afterMs' in one),
    );
    if (life === 'second') break;
    await waitFor('its next life', () =>
      server.log.slice(seen).some((one) => one.child === 'registrar' && 'readyMs' in one),
    );
  }

  const { code, end } = await reloadNode(runDir);

  t.equal(code, 0, `${end?.why}`);
  await waitFor('health', () => server.isReady());
});

t.test('the broker is away: refused; the node stays as it is, with its links', async (t) => {
  const before = server.childPid('acceptor 1');
  proxy.stop();

  const { code, end } = await reloadNode(runDir);

  t.equal(code, 3);
  t.match(end, { phase: 'refused', why: /^cannot reach the broker 127\.0\.0\.1:\d+: [^\n]+$/ });
  t.equal(server.childPid('acceptor 1'), before);
  device.send({ type: TYPE.PING });
  await device.expect(TYPE.PONG);
});

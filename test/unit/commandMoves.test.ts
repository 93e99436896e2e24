/** Commands for a link that moves: sent on to its new acceptor once, and only what was not sent. */
import t from 'tap';
import { makeLimits } from '../../src/base/limits.ts';
import { makeCommandCounters } from '../../src/base/metrics.ts';
import type { ToLink } from '../../src/node/messages.ts';
import { Commands } from '../../src/registrar/command/commands.ts';
import type { Effects, Sending } from '../../src/registrar/command/effects.ts';
import type { Outcome } from '../../src/registrar/store/commandRows.ts';
import type { Row } from '../../src/registrar/store/presenceRules.ts';
import { amqpMessage } from '../helpers/fakes/amqpMessage.ts';
import { MemoryStore } from '../helpers/fakes/memoryStore.ts';

const NOW = 1_700_000_000_000;
const LINK = 'connection-1';

function rowOf(acceptor: string, connection = LINK, online = true): Row {
  const rest = { seq: 1, start: 1, acceptedUs: 1, at: NOW, reason: 'connected' } as const;
  return { device: 'door-17', online, connection, acceptor, ...rest };
}

async function make() {
  const store = new MemoryStore(() => NOW);
  const sent: (Sending & { to: string })[] = [];
  const told: Outcome[] = [];
  const effects: Effects = {
    send: ({ acceptor: to }, _, sending) => {
      sent.push({ ...sending, to });
      return 'sent';
    },
    settle: () => {},
    conclude: (_, outcome) => void told.push(outcome),
    settleAgain: () => {},
    publish: (outcome) => void told.push(outcome),
    isChanging: () => false,
    wake: () => {},
  };
  const commands = new Commands({
    ...{ effects, store, counters: makeCommandCounters(), limits: makeLimits(), trace: () => {} },
    ...{ wall: () => NOW, now: () => NOW, newKey: () => 'fresh' },
    ...{ onOpen: () => {}, onCommit: () => {}, settledTo: () => 0 },
  });
  const work = async (...rows: Row[]) => {
    for (const one of rows) store.rows.set(one.device, one);
    const writes = await commands.prepare();
    if (writes) await store.write({ rows: [], events: [], settledTo: 0, commands: writes });
    commands.committed(rows);
  };
  const send = (text: string, isKept = false) => {
    const headers = isKept ? { deadline: NOW + 60_000 } : {};
    const ids = { messageId: text, correlationId: text, replyTo: 'backend' };
    const properties = { type: 'door.open', ...ids, deliveryMode: isKept ? 2 : 1, headers };
    const message = amqpMessage({ routingKey: 'door-17', properties, content: text });
    commands.onDelivery(message, { isRedelivered: false, isStale: false });
  };
  /** The predecessor has it not sent. */
  const moved = (at: number, isKept = false) => {
    const one = sent.at(at);
    if (one === undefined) throw new Error('nothing was sent');
    const { key, topic, payload, due } = one;
    const command: ToLink = ['command', 'door-17', LINK, key, topic, payload, due];
    const whole = isKept ? undefined : command;
    commands.onAnswer(['unsent', key, 'door-17', 'moved', LINK, due, whole], 'before');
  };
  const texts = () => sent.map(({ payload, to }) => `${payload} to ${to}`);
  await work(rowOf('before'));
  return { commands, work, send, moved, sent, told, texts };
}

t.test('a transient one that was not sent follows the link, once that is known', async (t) => {
  const { work, send, moved, texts, told, sent, commands } = await make();
  send('a');
  moved(-1);
  t.same(texts(), ['a to before'], 'its new acceptor has not told of the link');

  await work(rowOf('after'));
  await work(rowOf('after'));

  t.same(texts(), ['a to before', 'a to after']);
  commands.onAnswer(['result', sent[1]?.key ?? '', 0, Buffer.alloc(0)], 'after');
  t.match(told, [{ type: 'result', correlationId: 'a' }]);
});

t.test('one whose answer comes after the move is known goes on at once', async (t) => {
  const { work, send, moved, texts } = await make();
  send('a');
  await work(rowOf('after'));
  t.same(texts(), ['a to before'], 'it may have been sent');
  moved(-1);
  send('b');
  t.same(texts(), ['a to before', 'a to after', 'b to after']);
});

t.test('kept ones under way are sent again, moved or not', async (t) => {
  const { work, send, moved, texts, sent } = await make();
  send('k', true);
  await work();
  await work();
  t.same(texts(), ['k to before']);
  moved(-1, true);
  await work(rowOf('after'));
  await work();
  await work();
  t.same(texts(), ['k to before', 'k to after']);
  t.equal(sent[0]?.key, sent[1]?.key);
  t.equal(sent[1]?.after, '', 'its new acceptor does not know those before');
});

t.test('a link that ends before its new acceptor has told of it', async (t) => {
  const { work, send, moved, told, texts } = await make();
  send('a');
  moved(-1);
  await work(rowOf('before', LINK, false));
  await work(rowOf('after', 'connection-2'));
  t.match(told, [{ type: 'expired', reason: 'link-lost' }]);
  t.same(texts(), ['a to before']);
});

/**
 * Links by a protocol module, on live endpoints: answers when they are due, commands that it does
 * not have, pings, goodbyes; and what follows when it fails while it is to say something.
 */
import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { canMove } from '../../src/acceptor/endpoint/snapshot.ts';
import { loadProtocols } from '../../src/acceptor/ownProtocols.ts';
import { makeLimits } from '../../src/base/limits.ts';
import type { ListenerConfig } from '../../src/base/listeners.ts';
import { framing } from '../../src/wire/module/framing.ts';
import { moduleFactory } from '../../src/wire/module/loadModule.ts';
import type { Capabilities, DeviceLink } from '../../src/wire/module/moduleTypes.ts';
import { onBoth, type Served } from '../helpers/worlds/endpoints.ts';

const PATH = '/etc/owsla/lines.js';
const CAPABILITIES: Capabilities = {
  ...{ events: true, acknowledgements: true, requests: true },
  ...{ commands: 'results', keepalive: 'server', keepaliveSeconds: 60 },
};

/** `login x`, `event`, `ask`, `two`, `did`, each on a line. */
class Lines implements DeviceLink {
  readonly frame = framing.lines();

  read(line: Buffer) {
    const [word, deviceId = ''] = line.toString('latin1').trim().split(' ');
    const event = { type: 'event', topic: 'x', payload: word, ack: 'safe\n' } as const;
    if (word === 'login') return { type: 'login', deviceId } as const;
    if (word === 'two') return [event, event];
    if (word === 'did') return { type: 'result', status: 100 } as const;
    if (word === 'alive') return { type: 'alive', answer: 'yes\n' } as const;
    if (word !== 'ask') return event;
    return {
      ...({ type: 'request', topic: 'x', payload: word } as const),
      reply: (status: number) => {
        if (status === 3) throw new Error('it cannot say that');
        return `answer ${status}\n`;
      },
    };
  }

  welcome = () => 'welcome\n';
  command = ({ topic, number }: { topic: string; number: number }) =>
    topic === 'go' ? `go ${number}\n` : undefined;
  ping = () => 'there?\n';
  goodbye = (reason: string) => `bye ${reason}\n`;
}

class Saved extends Lines {
  save = () => null;
}

const moduleOf = (Link: new () => Lines) => {
  const protocol = { name: 'lines', capabilities: CAPABILITIES, connect: () => new Link() };
  return new Map([[PATH, moduleFactory({ path: PATH, protocol })]]);
};
const OPTIONS = { protocol: PATH, protocols: moduleOf(Lines) } as const;

/** What it is told, line by line. */
class Meter {
  text = '';
  isOver = false;
  readonly socket: Duplex;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.text += chunk;
    });
    socket.on('end', () => {
      this.isOver = true;
      socket.end();
    });
  }

  static async open(served: Served): Promise<Meter> {
    const meter = new Meter(await served.link());
    meter.socket.write('login meter-1\n');
    await meter.hears('welcome\n');
    return meter;
  }

  async hears(text: string): Promise<void> {
    while (this.text !== text) await turn();
    this.text = '';
  }

  async ends(): Promise<void> {
    while (!this.isOver) await turn();
  }
}

onBoth('module: an acknowledgement is written when it is due', OPTIONS, async (t, served) => {
  const meter = await Meter.open(served);
  meter.socket.write('two\nalive\nlogin meter-1\n');
  await meter.hears('yes\nwelcome\n');
  t.same(
    served.routes.handed.map(({ message }) => message.id),
    [1, 2],
  );

  served.routes.held[1]?.endpoint.acknowledge(2);
  await meter.hears('safe\n');
  served.routes.held[1]?.endpoint.acknowledge(2);
  served.routes.held[0]?.endpoint.reply(1, 0, Buffer.alloc(0));
  meter.socket.write('alive\n');
  await meter.hears('yes\n');
});

onBoth('module: a command it does not have ends with status 3', OPTIONS, async (t, served) => {
  const meter = await Meter.open(served);
  const endpoint = served.endpoint('meter-1');
  const order = { type: 'command', payload: Buffer.alloc(0), key: undefined } as const;
  endpoint.command({ ...order, id: 70, topic: 'go', expiresIn: 1_000 });
  endpoint.command({ ...order, id: 71, topic: 'fly', expiresIn: 1_000 });
  endpoint.command({ ...order, id: 72, topic: 'go', expiresIn: 1_000 });
  await meter.hears('go 1\ngo 3\n');
  meter.socket.write('did\ndid\ndid\nalive\n');
  await meter.hears('yes\n');

  t.same(
    served.routes.answers.map((answer) => [answer.id, 'status' in answer && answer.status]),
    [
      [71, 3],
      [70, 100],
      [72, 100],
      [0, 100],
    ],
  );
});

onBoth('module: it fails while it is to answer: that link ends', OPTIONS, async (t, served) => {
  const [meter, beside] = [await Meter.open(served), await Meter.open(served)];
  meter.socket.write('ask\nask\n');
  while (served.routes.held.length < 2) await turn();
  const [first, second] = served.routes.held;
  first?.endpoint.reply(1, 0, Buffer.alloc(0));
  await meter.hears('answer 0\n');
  second?.endpoint.reply(2, 3, Buffer.alloc(0));
  await meter.ends();

  t.equal(served.counters.closes['bad-frame'], 1);
  beside.socket.write('alive\n');
  await beside.hears('yes\n');
});

onBoth(
  'module: a device that has to be asked is asked, then given up',
  OPTIONS,
  async (_, served) => {
    const meter = await Meter.open(served);
    served.pass(60_000);
    await meter.hears('there?\n');
    served.pass(20_000);
    meter.socket.write('alive\n');
    await meter.hears('yes\n');
    served.pass(60_000);
    await meter.hears('there?\n');
    served.pass(30_001);
    await meter.hears('bye keepalive-timeout\n');
    await meter.ends();
  },
);

onBoth('module: links without save stay where they are', OPTIONS, async (t, served) => {
  await Meter.open(served);
  t.equal(canMove(served.endpoint('meter-1')), false);
});

const SAVED = { protocol: PATH, protocols: moduleOf(Saved) } as const;
onBoth('module: what a frame says beside an event is not left behind', SAVED, async (t, served) => {
  const meter = await Meter.open(served);
  const endpoint = served.endpoint('meter-1');
  t.equal(canMove(endpoint), true);
  served.routes.room = 1;
  meter.socket.write('two\n');
  while (served.routes.handed.length < 1) await turn();
  t.equal(endpoint.isHolding, true);
  t.equal(endpoint.freeze(), undefined, 'the second one waits');
  served.makeRoom();
  while (served.routes.handed.length < 2) await turn();
  t.equal(endpoint.isHolding, false);
});

t.test('module: one that an acceptor cannot load costs its listener only', async (t) => {
  const lines: unknown[] = [];
  const log = { error: (facts: object) => void lines.push(facts) };
  const listeners = [{ name: 'lost', protocol: '/nowhere/x.js' }] as unknown as ListenerConfig[];
  const limits = makeLimits();
  const { protocols, faults } = await loadProtocols({ listeners, limits }, log as never);

  t.match(faults, [/the protocol module \/nowhere\/x\.js cannot be loaded/]);
  t.match(lines, [{ listener: 'lost' }]);
  t.same([...protocols.keys()].includes('owsla'), true);
  const link = protocols.get('/nowhere/x.js')?.make(limits);
  link?.push(Buffer.from('x'));
  t.throws(() => link?.next(), { code: 'bad-frame' });
});

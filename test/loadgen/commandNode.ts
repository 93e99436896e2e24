/**
 * Command node: as much of a node as commands need, which does them wrong where it is told to.
 * From: tests, with a broker and a Misdeed for some commands.  To: loadgen's devices, the examples.
 * Bound: a stand-in: kept commands live in memory, and the deadline is the only one of its limits.
 */
import { createHash } from 'node:crypto';
import amqp, { type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { names } from '../../src/broker/topology.ts';
import { TYPE } from '../../src/wire/message.ts';
import { type Link, ScriptedServer } from './scriptedServer.ts';

/** What to do with a command instead of the right thing. */
export type Misdeed =
  | 'send-under-two-keys'
  | 'send-to-another'
  | 'tell-two-finals'
  | 'tell-nothing'
  | 'tell-refused-and-send'
  | 'tell-result-unsent'
  | 'tell-twice'
  | 'tell-expired-after-result'
  | 'hold-until-next';

interface Open {
  readonly message: ConsumeMessage;
  readonly deviceId: string;
  readonly misdeed: Misdeed | undefined;
  isTold: boolean;
  expiry: NodeJS.Timeout | undefined;
}

type Choose = (order: number, deviceId: string) => Misdeed | undefined;

const KEPT = 2;

export class CommandNode {
  readonly server: ScriptedServer;
  port = 0;
  /** Commands taken from the broker. */
  taken = 0;
  readonly #connection: ChannelModel;
  readonly #channel: Channel;
  readonly #prefix: string;
  readonly #choose: Choose;
  readonly #links = new Map<string, Link>();
  readonly #open = new Map<number, Open>();
  #held: Open | undefined;
  #ids = 0;

  private constructor(connection: ChannelModel, channel: Channel, prefix: string, choose: Choose) {
    this.#connection = connection;
    this.#channel = channel;
    this.#prefix = prefix;
    this.#choose = choose;
    this.server = new ScriptedServer({
      onHello: (link) => {
        this.#links.set(link.deviceId, link);
        this.server.welcome(link);
        this.#onLink(link.deviceId);
        return true;
      },
      onEnd: (link) => {
        if (this.#links.get(link.deviceId) === link) this.#onLost(link.deviceId);
      },
      onAck: (_, { id }) => {
        const open = this.#open.get(id);
        if (open !== undefined) this.#tell(open.message, 'delivered');
      },
      onResult: (_, { id, status, payload }) => {
        this.#onResult(this.#open.get(id), status, payload);
      },
    });
  }

  /** Declare what a node declares, and serve. */
  static async start(url: string, prefix: string, choose: Choose = () => undefined) {
    const connection = await amqp.connect(url);
    const channel = await connection.createChannel();
    const { commands, events } = names(prefix);
    for (const exchange of [commands, events]) await channel.assertExchange(exchange, 'topic');
    await channel.assertQueue(commands);
    await channel.bindQueue(commands, commands, '#');
    const node = new CommandNode(connection, channel, prefix, choose);
    node.port = await node.server.listen();
    await channel.consume(commands, (message) => {
      if (message !== null) node.#onCommand(message);
    });
    return node;
  }

  async stop(): Promise<void> {
    for (const { expiry } of this.#open.values()) clearTimeout(expiry);
    const { commands, events } = names(this.#prefix);
    await this.server.close();
    await this.#channel.deleteQueue(commands);
    for (const exchange of [commands, events]) await this.#channel.deleteExchange(exchange);
    await this.#connection.close();
  }

  #onCommand(message: ConsumeMessage): void {
    this.#channel.ack(message);
    this.taken += 1;
    const deviceId = message.fields.routingKey;
    const misdeed = this.#choose(this.taken, deviceId);
    const open: Open = { message, deviceId, misdeed, isTold: false, expiry: undefined };
    if (misdeed === 'hold-until-next') {
      this.#held = open;
      return;
    }
    this.#take(open);
    if (this.#held?.deviceId !== deviceId) return;
    this.#take(this.#held);
    this.#held = undefined;
  }

  #take(open: Open): void {
    const { message, deviceId, misdeed } = open;
    if (misdeed === 'tell-result-unsent') {
      this.#tell(message, 'result', message.content, { status: 0 });
      return;
    }
    this.#ids += 1;
    const id = this.#ids;
    this.#open.set(id, open);
    if (misdeed === 'tell-refused-and-send') {
      open.isTold = true;
      this.#tell(message, 'refused', Buffer.alloc(0), { reason: 'full' });
    }
    const isKept = message.properties.deliveryMode === KEPT;
    const link = this.#links.get(deviceId);
    if (link !== undefined) this.#send(id, open, link);
    else if (!isKept) {
      open.isTold = true;
      this.#tell(message, 'offline');
    }
    if (!isKept) return;
    const leftMs = Number(message.properties.headers?.deadline) - Date.now();
    open.expiry = setTimeout(() => this.#onExpired(id), leftMs);
  }

  #onExpired(id: number): void {
    const open = this.#open.get(id);
    if (open === undefined || open.isTold || open.misdeed === 'tell-nothing') return;
    open.isTold = true;
    const reason = this.#links.has(open.deviceId) ? 'no-answer' : 'not-sent';
    this.#tell(open.message, 'expired', Buffer.alloc(0), { reason });
  }

  #send(id: number, { message, misdeed }: Open, link: Link): void {
    const { content, properties } = message;
    const topic = String(properties.type);
    const key = createHash('sha256').update(String(properties.messageId)).digest().subarray(0, 16);
    const others = [...this.#links.values()].filter((other) => other !== link);
    const to = misdeed === 'send-to-another' ? (others[0] ?? link) : link;
    const command = { type: TYPE.COMMAND, id, topic, payload: content, expiresIn: 1_000 };
    to.send({ ...command, key });
    if (misdeed !== 'send-under-two-keys') return;
    to.send({ ...command, key: createHash('sha256').update(key).digest().subarray(0, 16) });
  }

  #onResult(open: Open | undefined, status: number, payload: Buffer): void {
    if (open === undefined || open.isTold || open.misdeed === 'tell-nothing') return;
    open.isTold = true;
    clearTimeout(open.expiry);
    const { message, misdeed } = open;
    if (misdeed === 'tell-expired-after-result') {
      this.#tell(message, 'expired', Buffer.alloc(0), { reason: 'no-answer' });
      return;
    }
    const times = misdeed === 'tell-twice' ? 2 : 1;
    for (let at = 0; at < times; at += 1) {
      this.#tell(message, 'result', Buffer.from(payload), { status });
    }
    if (misdeed === 'tell-two-finals') this.#tell(message, 'offline');
  }

  /** What is kept for a device that is there again goes out, in order. */
  #onLink(deviceId: string): void {
    const link = this.#links.get(deviceId);
    if (link === undefined) return;
    for (const [id, open] of this.#open) {
      const isKept = open.message.properties.deliveryMode === KEPT;
      if (open.deviceId === deviceId && isKept && !open.isTold) this.#send(id, open, link);
    }
  }

  /** What is now or never, and has no answer yet, ends with the link. */
  #onLost(deviceId: string): void {
    this.#links.delete(deviceId);
    for (const open of this.#open.values()) {
      const isKept = open.message.properties.deliveryMode === KEPT;
      if (open.deviceId !== deviceId || isKept || open.isTold) continue;
      open.isTold = true;
      this.#tell(open.message, 'expired', Buffer.alloc(0), { reason: 'link-lost' });
    }
  }

  #tell(
    { properties }: ConsumeMessage,
    type: string,
    payload: Buffer = Buffer.alloc(0),
    headers = {},
  ) {
    const { replyTo, correlationId } = properties;
    this.#channel.sendToQueue(String(replyTo), payload, { type, correlationId, headers });
  }
}

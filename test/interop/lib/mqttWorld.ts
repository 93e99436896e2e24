/**
 * Mqtt world: a real node with an MQTT listener, and a backend that hears all of its events,
 * answers each request with its own payload, and commands.
 * From: a test of somebody else's client.  To: what reached the backend, device by device.
 * Bound: all of it goes with the test, or the file, that made it.
 */
import type { ConsumeMessage } from 'amqplib';
import type { Test } from 'tap';
import { names } from '../../../src/broker/topology.ts';
import type { LinkAnswer } from '../../../src/node/linkFacts.ts';
import { echo } from '../../helpers/fakes/backend.ts';
import { Commander } from '../../helpers/fakes/commander.ts';
import { Subscriber } from '../../helpers/fakes/subscriber.ts';
import { startNode } from '../../helpers/processes/node.ts';
import type { Server } from '../../helpers/processes/server.ts';
import { waitFor } from '../../helpers/waitFor.ts';

/** A keepalive of a second shows its pings soon. */
const LIMITS = { keepaliveMinMs: 1_000 };

export interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly isWill: boolean;
}

export class MqttWorld {
  readonly port: number;
  readonly commander: Commander;
  readonly #server: Server;
  readonly #presence: Subscriber;
  readonly #events = new Map<string, Heard[]>();

  private constructor(server: Server, commander: Commander, presence: Subscriber) {
    this.port = server.portOf('mqtt');
    this.commander = commander;
    this.#server = server;
    this.#presence = presence;
  }

  static async start(t: Test): Promise<MqttWorld> {
    const flags = ['--mqtt-port', '0'];
    const { server, backend, broker, prefix } = await startNode(t, { limits: LIMITS, flags });
    const commander = await Commander.connect(broker.url, prefix);
    t.teardown(() => commander.close());
    const presence = await Subscriber.start(broker.url, prefix);
    t.teardown(() => presence.close());
    const world = new MqttWorld(server, commander, presence);
    await backend.on(names(prefix).events, '#', (message) => world.#hear(message));
    await backend.on(names(prefix).requests, '#', echo);
    return world;
  }

  #hear({ properties, content }: ConsumeMessage): void {
    const { device, topic, will } = properties.headers ?? {};
    const heard = { topic: String(topic), text: content.toString(), isWill: will !== undefined };
    const events = this.#events.get(String(device)) ?? [];
    this.#events.set(String(device), [...events, heard]);
  }

  /** All events of a device so far, in order. */
  eventsOf(device: string): readonly Heard[] {
    return this.#events.get(device) ?? [];
  }

  /** The first event of a device with this text. */
  async event(device: string, text: string): Promise<Heard> {
    let found: Heard | undefined;
    await waitFor(`event '${text}' of ${device}`, () => {
      found = this.eventsOf(device).find((one) => one.text === text);
      return found !== undefined;
    });
    return found as Heard;
  }

  /** Its first link is on record, and its will with it: one that ends sooner may leave none. */
  untilKnown(device: string): Promise<void> {
    const isKnown = () => this.#presence.heard.some((one) => one.device === device);
    return waitFor(`${device} on record`, isKnown);
  }

  /** Messages that came on its link, as the node counts them. */
  async messagesOf(device: string): Promise<number> {
    const { links } = JSON.parse(await this.#server.page(`/api/v1/links/${device}`)) as LinkAnswer;
    return links[0]?.messagesIn ?? 0;
  }
}

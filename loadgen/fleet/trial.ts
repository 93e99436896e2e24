/**
 * Trial: both ends of a protocol module, tried on each other in memory before a run.
 * From: simulation.ts.  To: the same: what a run with it can send, and what it can check.
 * Bound: a link, and one message of each kind. Owsla's end is the one that a node has, with all
 * that it checks.
 */
import { randomBytes } from 'node:crypto';
import { makeLimits } from '../../src/base/limits.ts';
import { type CommandMessage, TYPE } from '../../src/wire/message.ts';
import { type LoadedModule, moduleFactory } from '../../src/wire/module/loadModule.ts';
import type { SimulatedDevices } from '../../src/wire/module/moduleTypes.ts';
import type { FromDevice, Protocol } from '../../src/wire/protocol.ts';
import { KIND } from '../plan/payload.ts';
import { wordsOf } from '../plan/units.ts';
import { type ModuleLink, ModuleSpeech } from './moduleSpeech.ts';
import type { Cutter, Heard } from './speech.ts';

export const LIMITS = makeLimits();
const CONNECTION = '00000000-0000-4000-8000-000000000000';
const KEEPALIVE_MS = 60_000;

export interface Simulation {
  readonly module: LoadedModule;
  readonly devices: SimulatedDevices;
}

/** What a run may want to send. */
export type Sort = 'event' | 'request' | 'command';

export interface Found {
  readonly isWelcomed: boolean;
  readonly canShowLife: boolean;
  /** Our bytes are in what a backend gets of an event. */
  readonly carriesEvents: boolean;
  /** And in a reply. */
  readonly carriesReplies: boolean;
  /** Why these cannot be sent. */
  readonly faults: Readonly<Partial<Record<Sort, string>>>;
}

interface Wanted {
  readonly deviceId: string;
  readonly payloadBytes: number;
  readonly commandTopic: string;
}

/** Throws an Error of one sentence when not even a login is understood. */
export function trialOf(simulation: Simulation, wanted: Wanted): Found {
  return new Trial(simulation, wanted).run();
}

class Trial {
  readonly #simulation: Simulation;
  readonly #wanted: Wanted;
  readonly #payload: Buffer;
  readonly #server: Protocol;
  readonly #device: ModuleLink;
  readonly #cutter: Cutter;
  readonly #faults: Partial<Record<Sort, string>> = {};
  #carriesEvents = false;
  #carriesReplies = false;

  constructor(simulation: Simulation, wanted: Wanted) {
    this.#simulation = simulation;
    this.#wanted = wanted;
    this.#payload = randomBytes(wanted.payloadBytes);
    this.#server = moduleFactory(simulation.module).make(LIMITS);
    const manners = { keepaliveS: 0, isWelcomed: true, acknowledges: true };
    const speech = new ModuleSpeech(simulation.devices, manners);
    this.#device = speech.linkOf(wanted.deviceId);
    this.#cutter = this.#device.cutter();
  }

  run(): Found {
    const isWelcomed = this.#logIn();
    this.#try('event', () => this.#event());
    this.#try('request', () => this.#request());
    this.#try('command', () => this.#command());
    const { keepalive } = this.#simulation.module.protocol.capabilities;
    return {
      isWelcomed,
      canShowLife: keepalive === 'device' && this.#has('alive'),
      carriesEvents: this.#carriesEvents,
      carriesReplies: this.#carriesReplies,
      faults: this.#faults,
    };
  }

  #try(sort: Sort, body: () => string | undefined): void {
    try {
      const fault = body();
      if (fault !== undefined) this.#faults[sort] = fault;
    } catch (error) {
      this.#faults[sort] = wordsOf(error);
    }
  }

  #has(word: 'event' | 'request' | 'result' | 'alive'): boolean {
    const device = this.#simulation.devices.connect(this.#wanted.deviceId);
    return typeof device[word] === 'function';
  }

  /** What Owsla reads of these bytes. */
  #toServer(bytes: Buffer): FromDevice[] {
    const said: FromDevice[] = [];
    this.#server.push(bytes);
    for (let next = this.#server.next(); next; next = this.#server.next()) {
      said.push(this.#server.accept(next));
    }
    return said;
  }

  #toDevice(bytes: Buffer | undefined): Heard[] {
    const heard: Heard[] = [];
    this.#cutter.push(bytes ?? Buffer.alloc(0));
    for (let frame = this.#cutter.next(); frame; frame = this.#cutter.next()) {
      heard.push(this.#device.read(frame));
    }
    return heard;
  }

  #logIn(): boolean {
    const { deviceId } = this.#wanted;
    const [hello] = this.#toServer(this.#device.hello(deviceId, undefined));
    if (hello?.type !== 'hello' || hello.deviceId !== deviceId) {
      throw new Error(`the login of its simulated device is not read as one of ${deviceId}`);
    }
    const welcome = this.#server.welcome(CONNECTION, KEEPALIVE_MS, Date.now());
    const isWelcomed = welcome !== undefined && welcome.length > 0;
    if (isWelcomed && !this.#toDevice(welcome).some(({ is }) => is === 'welcome')) {
      throw new Error('its simulated device does not know what it is answered for a login');
    }
    return isWelcomed;
  }

  #event(): string | undefined {
    const { module, devices } = this.#simulation;
    const { events, acknowledgements } = module.protocol.capabilities;
    if (!events || !this.#has('event')) return 'its devices have no events';
    const said = this.#toServer(this.#device.wrap(KIND.event, 1, this.#payload));
    const event = said.find((one) => one.type === 'event');
    if (event?.type !== 'event') return 'what its simulated device sends is read as no event';
    const carried = devices.carried ? devices.carried(event.payload) : event.payload;
    this.#carriesEvents = carried !== undefined && this.#payload.equals(carried);
    if (!acknowledgements) return undefined;
    const acks = this.#toDevice(this.#server.acknowledge(event.id));
    const isHeard = acks.some((one) => one.is === 'ack' && (one.id ?? 1) === 1);
    return isHeard ? undefined : 'its simulated device does not hear the acknowledgement';
  }

  #request(): string | undefined {
    const { requests } = this.#simulation.module.protocol.capabilities;
    if (!requests || !this.#has('request')) return 'its devices have no requests';
    const said = this.#toServer(this.#device.wrap(KIND.request, 2, this.#payload));
    const request = said.find((one) => one.type === 'request');
    if (request?.type !== 'request') return 'what its simulated device asks is read as no request';
    const told = this.#toDevice(this.#server.reply(request.id, 0, this.#payload));
    const reply = told.find((one) => one.is === 'reply');
    if (reply?.is !== 'reply' || (reply.id ?? 2) !== 2) {
      return 'its simulated device does not hear the reply';
    }
    this.#carriesReplies = this.#payload.equals(reply.payload) && reply.status === 0;
    return undefined;
  }

  #command(): string | undefined {
    const { commands } = this.#simulation.module.protocol.capabilities;
    if (commands === 'none') return 'its devices take no commands';
    if (commands !== 'results') return 'its devices do not say what came of a command';
    if (!this.#has('result')) return 'its simulated device answers none';
    const { commandTopic: topic } = this.#wanted;
    const key = randomBytes(16);
    const command: CommandMessage = {
      ...{ type: TYPE.COMMAND, id: 1, topic, payload: this.#payload, key, expiresIn: 1_000 },
    };
    const bytes = this.#server.command(command);
    if (bytes === undefined) return `its devices have no command ${topic}: --command-topic`;
    const told = this.#toDevice(bytes).find((one) => one.is === 'command');
    if (told?.is !== 'command') return 'its simulated device does not hear a command';
    if (!this.#payload.equals(told.payload)) {
      return 'a command does not bring its payload to the device, which tells one from another';
    }
    const [result] = this.#toServer(this.#device.answer(told));
    const isSame = result?.type === 'result' && this.#payload.equals(result.payload);
    return isSame ? undefined : 'the result does not bring the payload of its command back';
  }
}

/**
 * Story: what one link reads and writes, in words: as an endpoint would lead it, with a backend
 * that answers at once.
 * From: the checks: chunks of bytes, as a device sends them.  To: the same, to be compared.
 * Bound: as long as what was sent.
 */
import { ProtocolError } from '../base/errors.ts';
import { ModuleFault } from '../wire/module/fault.ts';
import { type ModuleOfLinks, ModuleProtocol } from '../wire/module/moduleProtocol.ts';
import type { FromDevice, ProtocolLimits, Received } from '../wire/protocol.ts';

export const CONNECTION = '00000000-0000-4000-8000-000000000000';
const KEEPALIVE_MS = 60_000;
/** ms since 1970. */
const TIME = 1_700_000_000_000;
const KEY = Buffer.alloc(16, 7);
const EXPIRES_MS = 30_000;

/** To be sent once the device has logged in. */
export interface SampleCommand {
  readonly topic: string;
  readonly payload: Buffer;
}

export interface Story {
  /** Each thing that was read or written, in order; the last may be how it ended. */
  readonly words: readonly string[];
  /** What was accepted, by type. */
  readonly types: readonly string[];
  readonly error: ProtocolError | undefined;
  /** EVENTs that had no acknowledgement. */
  readonly bare: number;
  /** COMMANDs that the module has no bytes for. */
  readonly unsent: number;
  /** Bytes that are no whole frame. */
  readonly rest: number;
}

/** Leads one link, step by step. */
export class Telling {
  readonly protocol: ModuleProtocol;
  readonly words: string[] = [];
  readonly types: string[] = [];
  error: ProtocolError | undefined;
  #bare = 0;
  #unsent = 0;
  readonly #commands: readonly SampleCommand[];

  constructor(protocol: ModuleProtocol, commands: readonly SampleCommand[] = []) {
    this.protocol = protocol;
    this.#commands = commands;
  }

  hear(chunk: Buffer): void {
    if (this.error !== undefined) return;
    // A module that writes to what it was shown must not change what comes later.
    this.protocol.push(Buffer.from(chunk));
    try {
      for (let next = this.protocol.next(); next; next = this.protocol.next()) {
        this.#onMessage(next);
        if (this.error !== undefined) return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.end(error);
    }
  }

  end(error: ProtocolError): void {
    this.error = error;
    // Numbers in its sentence may depend on how the stream was cut.
    this.words.push(`ends: ${error.code}`);
  }

  #onMessage(next: Received): void {
    const said = this.protocol.accept(next);
    this.types.push(said.type === 'aside' ? said.what : said.type);
    this.words.push(wordsOf(said));
    switch (said.type) {
      case 'hello':
        this.write(this.protocol.welcome(CONNECTION, KEEPALIVE_MS, TIME));
        this.#commands.forEach((command, at) => {
          this.command(at + 1, command);
        });
        break;
      case 'event': {
        const answer = this.protocol.acknowledge(said.id);
        if (answer === undefined) this.#bare += 1;
        this.write(answer);
        break;
      }
      case 'request':
        this.write(this.protocol.reply(said.id, 0, Buffer.from('ok')));
        break;
      case 'aside':
        this.write(said.answer);
    }
  }

  command(id: number, { topic, payload }: SampleCommand): void {
    const message = { type: 'command', id, topic, payload, key: KEY } as const;
    const frame = this.protocol.command({ ...message, expiresIn: EXPIRES_MS });
    if (frame === undefined) this.#unsent += 1;
    this.write(frame);
  }

  write(bytes: Buffer | undefined): void {
    if (bytes !== undefined) this.words.push(`writes ${bytes.toString('hex')}`);
    const { failure } = this.protocol;
    if (failure !== undefined && this.error === undefined) this.end(failure);
  }

  get story(): Story {
    const { words, types, error } = this;
    const rest = this.protocol.pendingBytes;
    return { words, types, error, bare: this.#bare, unsent: this.#unsent, rest };
  }
}

export function tellStory(
  module: ModuleOfLinks,
  limits: ProtocolLimits,
  chunks: readonly Buffer[],
  commands: readonly SampleCommand[] = [],
): Story {
  const telling = new Telling(new ModuleProtocol(module, limits), commands);
  for (const chunk of chunks) telling.hear(chunk);
  return telling.story;
}

function wordsOf(said: FromDevice): string {
  return JSON.stringify(said, (_, value) =>
    value?.type === 'Buffer' ? Buffer.from(value.data).toString('hex') : value,
  );
}

/** Not by the device's bytes alone: the module is wrong. */
export function isModulesFault(error: ProtocolError | undefined): error is ModuleFault {
  if (!(error instanceof ModuleFault)) return false;
  return error.isNonsense || (error.fn !== 'read' && error.fn !== 'frame');
}

/** With the author's own words, which no log has. */
export function explain(error: ProtocolError): string {
  const { message, cause } = error;
  const isThrown = error instanceof ModuleFault && !error.isNonsense;
  return isThrown && cause instanceof Error ? `${message}: ${cause.message}` : message;
}

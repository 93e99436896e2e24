/**
 * Ledger: one line of JSON for each thing that a device or a backend sent or got.
 * From: fleet.ts, backend.ts and commander.ts, a file for each process.  To: books.ts and
 * commandBooks.ts, which reconcile them.
 * A line is with the kernel before its delivery is acked, so kill -9 loses none that counts.
 * Bound: none; 600 messages and 200 commands a second for 10 minutes make some 100 MB.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Tongue } from '../helpers/fakes/speech.ts';

/** All times in ms since 1970, by the one clock of this machine. */
export type Entry =
  // Devices.
  | (Link & Opened & { readonly what: 'open' })
  /** `leftAt`: it was the device that ended it, some time before it noticed. */
  | (Link & { readonly what: 'end'; readonly reason: string; readonly leftAt?: number })
  | (Message & { readonly what: 'event' | 'request' | 'ack' })
  /** `of` is the message that the payload names; empty where there is none. */
  | (Message & { readonly what: 'reply'; readonly status: number; readonly of: string })
  /** A message was due and the device had no link to send it on. */
  | { readonly what: 'skipped'; readonly device: number; readonly at: number }
  /** A device acted upon a command; or knew its key, and did not. */
  | (Commanded & { readonly what: 'act' | 'known'; readonly device: number })
  // Backends.
  | (Message & Got & { readonly what: 'got' })
  | WillEntry
  // Commanders.
  | (Commanded & Ordered & { readonly what: 'command' })
  /** Published once more, for want of a confirm; confirmed; refused by the broker. */
  | (Commanded & { readonly what: 'again' | 'confirmed' | 'nacked' })
  | (Commanded & Told & { readonly what: 'told' });

interface Opened {
  /** '': the link's protocol has no word for it. */
  readonly connection: string;
  readonly tongue: Tongue;
  readonly will?: LeftWill;
}

/** What a link has left; its payload names the device's try to connect, of which some fail. */
export interface LeftWill {
  readonly of: string;
  readonly delayMs: number;
  /** When its device began to connect: its link may be there long before it knows. */
  readonly triedAt: number;
}

/** A backend got the will that its payload names. */
export interface WillEntry {
  readonly what: 'will';
  readonly of: string;
  readonly reason: string;
  /** Its message_id. */
  readonly id: string;
  readonly at: number;
}

interface Commanded {
  /** Of the command; rises with every one, over the commander's lives too. */
  readonly number: number;
  readonly at: number;
}

interface Ordered {
  readonly device: number;
  readonly isKept: boolean;
  readonly due: number;
}

/** An outcome. */
interface Told {
  readonly type: string;
  /** Of a RESULT; else -1. */
  readonly status: number;
  readonly reason: string;
  /** The command that the payload names, if any. */
  readonly of: string;
}

interface Link {
  readonly device: number;
  /** Counts the device's links, from 1. */
  readonly link: number;
  readonly at: number;
}

interface Message extends Link {
  readonly id: number;
}

interface Got {
  readonly kind: 'event' | 'request';
  /** The message_id, if the header `resent` was there. */
  readonly resent?: string;
  /** The broker delivers it for the second time. */
  readonly redelivered?: true;
  /** Requests only: when it was published, when its deadline was over, both by its properties. */
  readonly publishedAt?: number;
  readonly deadline?: number;
  /** When Owsla read it, by its header. */
  readonly receivedAt?: number;
}

/** What a message is called in payloads and findings. */
export function nameOf(device: number, link: number, id: number): string {
  return `${device}.${link}.${id}`;
}

/** The three numbers of a name, or `undefined` for any other text. */
export function readName(text: string): { device: number; link: number; id: number } | undefined {
  const found = /^(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (found === null) return undefined;
  const [device = 0, link = 0, id = 0] = found.slice(1).map(Number);
  return { device, link, id };
}

/** The id by which a device is known. */
export function deviceName(device: number): string {
  return `chaos-${device}`;
}

/** What a command is called in findings. */
export function commandName(number: number, device: number): string {
  return `command ${number} to device ${device}`;
}

export class LedgerFile {
  readonly #file: number;
  #lines = '';

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  note(entry: Entry): void {
    this.#lines += `${JSON.stringify(entry)}\n`;
  }

  /** Hand to the kernel what was noted. */
  flush(): void {
    if (this.#lines === '') return;
    writeSync(this.#file, this.#lines);
    this.#lines = '';
  }

  close(): void {
    this.flush();
    closeSync(this.#file);
  }
}

/** Every entry of every ledger file in `folder`. What a killed process wrote half is left out. */
export function* readLedgers(folder: string): Generator<Entry> {
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.ledger'))) {
    const text = readFileSync(join(folder, name), 'utf8');
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      yield JSON.parse(text.slice(start, end)) as Entry;
      start = end + 1;
    }
  }
}

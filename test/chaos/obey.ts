/**
 * Obey: how a device treats COMMANDs: acts once on each of its last 16 keys, and answers in one of
 * several ways, some of them as broken devices do.
 * From: device.ts, each COMMAND of its present link.  To: the ledger, before any answer; answers.
 * Bound: loadgen/fleet/keys.ts: 16 keys, kept over the device's links.
 */
import { Keys } from '../../loadgen/fleet/keys.ts';
import { STATUS } from '../../src/base/errors.ts';
import { type CommandMessage, type Message, TYPE } from '../../src/wire/message.ts';
import type { LedgerFile } from './ledger.ts';

/** Most often ACK and RESULT at once; these are the other ways, and how often. */
const SHARES = { resultOnly: 0.2, later: 0.15, ackOnly: 0.02 } as const;
/** Visitors besides: they act, and lose their link without an answer. */
const LOST_SHARE = 0.1;
const LATER_MS = 200;

export interface ObeyHost {
  readonly number: number;
  readonly isVisitor: boolean;
  /** Always ACK and RESULT at once. */
  readonly isPrompt: boolean;
  readonly ledger: LedgerFile;
  /** 0 to 1. */
  readonly random: () => number;
}

export class Obey {
  readonly #host: ObeyHost;
  readonly #keys = new Keys();

  constructor(host: ObeyHost) {
    this.#host = host;
  }

  /** `answer` writes to the link that `command` came by, while that is open; `lose` ends it. */
  take(command: CommandMessage, answer: (message: Message) => void, lose: () => void): void {
    const { number: device, ledger, random, isVisitor, isPrompt } = this.#host;
    const { id, key, payload } = command;
    const isNew = key === undefined || this.#keys.isNew(key);
    const number = Number(payload.toString());
    ledger.note({ what: isNew ? 'act' : 'known', number, device, at: Date.now() });
    const ack = () => answer({ type: TYPE.ACK, id });
    const result = () => answer({ type: TYPE.RESULT, id, status: STATUS.ok, payload });
    let lot = random();
    const isIn = (share: number) => {
      lot -= share;
      return lot < 0;
    };
    if (!isNew) {
      result();
    } else if (isPrompt) {
      ack();
      result();
    } else if (isIn(SHARES.resultOnly)) {
      result();
    } else if (isIn(SHARES.later)) {
      ack();
      setTimeout(result, LATER_MS);
    } else if (isIn(SHARES.ackOnly)) {
      ack();
    } else if (isVisitor && isIn(LOST_SHARE)) {
      lose();
    } else {
      ack();
      result();
    }
  }
}
